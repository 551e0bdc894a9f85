//! Cycles in a graph of files, and a small set of edges whose removal leaves none.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::{self, Display, Formatter};

use crate::resolve::{Edges, Site};

/// A strongly connected component: each file leads to every other one.
pub(crate) struct Cycle {
    pub(crate) files: Vec<String>,
    /// The shortest cycle: each edge starts where the one before it ends.
    pub(crate) shortest: Vec<Edge>,
    /// A small set of edges whose removal leaves no cycle; it need not be the smallest.
    pub(crate) cuts: Vec<Edge>,
    /// All edges between the files.
    pub(crate) edges: Vec<Edge>,
}

#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) sites: BTreeSet<Site>,
}

/// All cycles, the largest first.
pub(crate) fn cycles(edges: &Edges) -> Vec<Cycle> {
    let links: Links = edges.keys().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    let edge = |(from, to): (&str, &str)| {
        let key = (from.to_owned(), to.to_owned());
        let sites = edges[&key].clone();
        Edge { from: key.0, to: key.1, sites }
    };
    let mut cycles: Vec<Cycle> = components(&links)
        .into_iter()
        .map(|files| {
            let within: Links =
                links.iter().copied().filter(|(from, to)| files.contains(from) && files.contains(to)).collect();
            Cycle {
                files: files.iter().map(|&file| file.to_owned()).collect(),
                shortest: shortest(&within).into_iter().map(edge).collect(),
                cuts: cuts(&within, |link| edge(link).sites.len()).into_iter().map(edge).collect(),
                edges: within.iter().copied().map(edge).collect(),
            }
        })
        .collect();
    cycles.sort_by_key(|cycle| std::cmp::Reverse(cycle.files.len()));
    cycles
}

type Links<'a> = BTreeSet<(&'a str, &'a str)>;

fn neighbours<'a>(links: &Links<'a>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for &(from, to) in links {
        next.entry(from).or_default().push(to);
        next.entry(to).or_default();
    }
    next
}

/// The strongly connected components of two files or more (Tarjan).
fn components<'a>(links: &Links<'a>) -> Vec<BTreeSet<&'a str>> {
    struct Search<'a, 'b> {
        next: &'b BTreeMap<&'a str, Vec<&'a str>>,
        number: BTreeMap<&'a str, usize>,
        low: BTreeMap<&'a str, usize>,
        stack: Vec<&'a str>,
        found: Vec<BTreeSet<&'a str>>,
    }
    impl<'a> Search<'a, '_> {
        fn visit(&mut self, file: &'a str) {
            let number = self.number.len();
            self.number.insert(file, number);
            self.low.insert(file, number);
            self.stack.push(file);
            for &to in &self.next[file] {
                let reached = if !self.number.contains_key(to) {
                    self.visit(to);
                    self.low[to]
                } else if self.stack.contains(&to) {
                    self.number[to]
                } else {
                    continue;
                };
                self.low.insert(file, reached.min(self.low[file]));
            }
            if self.low[file] == number {
                let start = self.stack.iter().rposition(|&other| other == file).unwrap_or(0);
                let component: BTreeSet<&str> = self.stack.drain(start..).collect();
                if component.len() > 1 {
                    self.found.push(component);
                }
            }
        }
    }
    let next = neighbours(links);
    let mut search =
        Search { next: &next, number: BTreeMap::new(), low: BTreeMap::new(), stack: Vec::new(), found: Vec::new() };
    for &file in next.keys() {
        if !search.number.contains_key(file) {
            search.visit(file);
        }
    }
    search.found
}

/// The edges of the shortest cycle.
fn shortest<'a>(links: &Links<'a>) -> Vec<(&'a str, &'a str)> {
    let next = neighbours(links);
    let mut best: Vec<(&str, &str)> = Vec::new();
    for &start in next.keys() {
        let mut previous: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(file) = queue.pop_front() {
            for &to in &next[file] {
                if !previous.contains_key(to) {
                    previous.insert(to, file);
                    queue.push_back(to);
                }
            }
        }
        let mut cycle = Vec::new();
        let mut file = start;
        while let Some(&before) = previous.get(file) {
            cycle.push((before, file));
            file = before;
            if file == start {
                break;
            }
        }
        if file == start && !cycle.is_empty() && (best.is_empty() || cycle.len() < best.len()) {
            cycle.reverse();
            best = cycle;
        }
    }
    best
}

/// Edges to remove so that no cycle is left. Removes one at a time the edge that leaves the smallest cycles, then restores those
/// that need not be removed. Edges from a parent to modules below it stay: a parent may always use its children.
fn cuts<'a>(links: &Links<'a>, cost: impl Fn((&'a str, &'a str)) -> usize) -> Vec<(&'a str, &'a str)> {
    let weight = |links: &Links| -> usize { components(links).iter().map(|files| files.len() * files.len()).sum() };
    let mut left = links.clone();
    let mut cut = Vec::new();
    loop {
        let cycles = components(&left);
        let tried = left.iter().copied().filter(|(from, to)| {
            !is_below(to, from) && cycles.iter().any(|files| files.contains(from) && files.contains(to))
        });
        let best = tried.min_by_key(|&link| {
            let mut rest = left.clone();
            rest.remove(&link);
            (weight(&rest), cost(link), link)
        });
        let Some(best) = best else { break };
        left.remove(&best);
        cut.push(best);
    }
    cut.retain(|&link| {
        left.insert(link);
        let needed = !components(&left).is_empty();
        if needed {
            left.remove(&link);
        }
        needed
    });
    cut
}

fn is_below(file: &str, parent: &str) -> bool {
    let folder = parent.strip_suffix("mod.rs").unwrap_or(parent.strip_suffix(".rs").unwrap_or(parent));
    file != parent && file.strip_prefix(folder).is_some_and(|rest| folder.ends_with('/') || rest.starts_with('/'))
}

impl Display for Edge {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} ", short(&self.from), short(&self.to))?;
        for (place, site) in self.sites.iter().enumerate() {
            match place {
                0 => write!(f, " {}: {}", site.line, site.path)?,
                1..4 => write!(f, ", {}: {}", site.line, site.path)?,
                4 => write!(f, ", and {} more", self.sites.len() - 4)?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl Display for Cycle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let files: Vec<&str> = self.files.iter().map(|file| short(file)).collect();
        writeln!(f, "cycle of {} files: {}", files.len(), files.join(" "))?;
        for (title, edges) in
            [("shortest cycle", &self.shortest), ("edges to remove", &self.cuts), ("all edges", &self.edges)]
        {
            writeln!(f, "  {title}:")?;
            for edge in edges {
                writeln!(f, "    {edge}")?;
            }
        }
        Ok(())
    }
}

fn short(file: &str) -> &str {
    file.strip_prefix("src/").unwrap_or(file)
}
