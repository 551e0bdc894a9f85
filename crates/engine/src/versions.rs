//! Facts and the facts that replace them: a graph of `supersedes` links, which may fork, join and go in circles.

use std::collections::{HashMap, HashSet};

use mnemon_store::{Link, MemoryId};

/// The facts that are linked by `supersedes`, directly or over others.
///
/// A fact is superseded if a newer one that is visible leads back to it by such links, however many, unless it leads back to
/// the newer one as well: in a circle of links nobody is newer. An invisible fact supersedes nothing, but the links go on
/// through it: if the last fact of a chain is invisible, the one before it is current again.
#[derive(Default)]
pub(crate) struct Versions {
    /// The facts of each group, visible or not. A group is a single fact, or facts that replace each other in a circle.
    /// Newer groups come before the ones that they replace.
    groups: Vec<Group>,
    group_of: HashMap<MemoryId, usize>,
}

#[derive(Default)]
struct Group {
    visible: Vec<MemoryId>,
    /// The groups that replace this one directly, and the ones that it replaces.
    newer: Vec<usize>,
    older: Vec<usize>,
    /// The newest of the current facts that replace this group; `None` if it is current itself.
    superseded_by: Option<Dated>,
}

/// A fact with the time at which it replaced another one last.
type Dated = (String, MemoryId);

impl Versions {
    pub(crate) fn new(links: &[Link], visible: &HashSet<MemoryId>) -> Self {
        let graph = Graph::new(links);
        let mut versions = Self::default();
        for members in graph.groups() {
            let number = versions.groups.len();
            versions.group_of.extend(members.iter().map(|&id| (id, number)));
            let visible = members.iter().copied().filter(|id| visible.contains(id)).collect();
            versions.groups.push(Group { visible, ..Group::default() });
        }
        let mut replaced_at: HashMap<MemoryId, &str> = HashMap::new();
        for link in links {
            let time = replaced_at.entry(link.source).or_default();
            *time = (*time).max(&link.created_at);
            let (newer, older) = (versions.group_of[&link.source], versions.group_of[&link.target]);
            if newer != older {
                versions.groups[older].newer.push(newer);
                versions.groups[newer].older.push(older);
            }
        }
        for number in 0..versions.groups.len() {
            let newest = versions.groups[number].newer.iter().filter_map(|&newer| versions.newest(newer, &replaced_at));
            versions.groups[number].superseded_by = newest.max();
        }
        versions
    }

    /// The newest of the current facts of a group, or of the groups that replace it.
    fn newest(&self, group: usize, replaced_at: &HashMap<MemoryId, &str>) -> Option<Dated> {
        let group = &self.groups[group];
        let own =
            || group.visible.iter().map(|&id| (replaced_at.get(&id).copied().unwrap_or_default().to_owned(), id)).max();
        group.superseded_by.clone().or_else(own)
    }

    /// The newest of the current facts that replace this one.
    pub(crate) fn superseded_by(&self, id: MemoryId) -> Option<MemoryId> {
        let group = &self.groups[*self.group_of.get(&id)?];
        group.superseded_by.as_ref().map(|(_, id)| *id)
    }

    /// The visible facts that a current fact replaces, the last ones first.
    pub(crate) fn replaced_by(&self, id: MemoryId) -> Vec<MemoryId> {
        let Some(&group) = self.group_of.get(&id).filter(|group| self.groups[**group].superseded_by.is_none()) else {
            return Vec::new();
        };
        let groups = self.reachable(group, |group| &group.older);
        groups.into_iter().skip(1).flat_map(|group| self.groups[group].visible.iter().copied()).collect()
    }

    /// The current facts that replace this one, all of them.
    pub(crate) fn current_for(&self, id: MemoryId) -> Vec<MemoryId> {
        let Some(&group) = self.group_of.get(&id) else { return Vec::new() };
        let groups = self.reachable(group, |group| &group.newer).into_iter().skip(1).map(|group| &self.groups[group]);
        groups.filter(|group| group.superseded_by.is_none()).flat_map(|group| group.visible.iter().copied()).collect()
    }

    /// A group and those that can be reached from it, the nearest first.
    fn reachable(&self, from: usize, next: impl Fn(&Group) -> &[usize]) -> Vec<usize> {
        let (mut found, mut seen) = (vec![from], HashSet::from([from]));
        let mut at = 0;
        while let Some(&group) = found.get(at) {
            found.extend(next(&self.groups[group]).iter().copied().filter(|&group| seen.insert(group)));
            at += 1;
        }
        found
    }
}

/// The links by number of fact.
struct Graph {
    ids: Vec<MemoryId>,
    newer: Vec<Vec<usize>>,
    older: Vec<Vec<usize>>,
}

impl Graph {
    fn new(links: &[Link]) -> Self {
        let (mut graph, mut numbers) = (Self { ids: Vec::new(), newer: Vec::new(), older: Vec::new() }, HashMap::new());
        for link in links {
            let [newer, older] = [link.source, link.target].map(|id| {
                *numbers.entry(id).or_insert_with(|| {
                    graph.ids.push(id);
                    graph.newer.push(Vec::new());
                    graph.older.push(Vec::new());
                    graph.ids.len() - 1
                })
            });
            graph.newer[older].push(newer);
            graph.older[newer].push(older);
        }
        graph
    }

    /// The facts in groups that are circles of links (Kosaraju's algorithm): each group comes after all that are newer.
    fn groups(&self) -> Vec<Vec<MemoryId>> {
        // Every fact after the newer ones that do not lead back to it.
        let mut seen = vec![false; self.ids.len()];
        let mut order = Vec::with_capacity(self.ids.len());
        (0..self.ids.len()).for_each(|start| visit(start, &self.older, &mut seen, &mut order));
        let mut seen = vec![false; self.ids.len()];
        let mut groups = Vec::new();
        for &start in order.iter().rev() {
            let mut group = Vec::new();
            visit(start, &self.newer, &mut seen, &mut group);
            if !group.is_empty() {
                groups.push(group.into_iter().map(|number| self.ids[number]).collect());
            }
        }
        groups
    }
}

/// Appends the facts that can be reached from `start` and were not seen before, each after those that it leads to.
fn visit(start: usize, next: &[Vec<usize>], seen: &mut [bool], finished: &mut Vec<usize>) {
    if std::mem::replace(&mut seen[start], true) {
        return;
    }
    let mut path = vec![(start, next[start].iter())];
    while let Some((fact, rest)) = path.last_mut() {
        match rest.find(|&&fact| !seen[fact]) {
            Some(&fact) => {
                seen[fact] = true;
                path.push((fact, next[fact].iter()));
            }
            None => {
                finished.push(*fact);
                path.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COUNT: u64 = 9;

    fn links(pairs: &[(u64, u64)]) -> Vec<Link> {
        let link = |(time, &(newer, older)): (usize, &(u64, u64))| Link {
            source: MemoryId::Number(newer),
            target: MemoryId::Number(older),
            kind: Link::SUPERSEDES.into(),
            created_at: format!("2024-01-01T00:{time:02}:00Z"),
        };
        pairs.iter().enumerate().map(link).collect()
    }

    /// Whether `newer` leads to `older` by links, in one step or more.
    fn replaces(pairs: &[(u64, u64)], newer: u64, older: u64) -> bool {
        let mut found = HashSet::from([newer]);
        let mut reached = HashSet::new();
        loop {
            let next: HashSet<u64> = pairs.iter().filter(|pair| found.contains(&pair.0)).map(|pair| pair.1).collect();
            if next.is_subset(&reached) {
                return reached.contains(&older);
            }
            reached.extend(&next);
            found.extend(next);
        }
    }

    proptest! {
        #[test]
        fn facts_are_superseded_as_in_a_simple_model(
            pairs in proptest::collection::vec((0..COUNT, 0..COUNT), 0..16),
            hidden in proptest::collection::hash_set(0..COUNT, 0..4),
        ) {
            let shown: Vec<u64> = (0..COUNT).filter(|fact| !hidden.contains(fact)).collect();
            let versions = Versions::new(&links(&pairs), &shown.iter().map(|&fact| MemoryId::Number(fact)).collect());
            let is_newer = |a: u64, b: u64| replaces(&pairs, a, b) && !replaces(&pairs, b, a);
            let is_current = |fact: u64| !shown.iter().any(|&other| is_newer(other, fact));
            let sorted = |mut ids: Vec<MemoryId>| {
                ids.sort();
                ids
            };
            let all = |is: &dyn Fn(u64) -> bool| -> Vec<MemoryId> {
                shown.iter().copied().filter(|&fact| is(fact)).map(MemoryId::Number).collect()
            };
            for fact in 0..COUNT {
                let id = MemoryId::Number(fact);
                let current = all(&|other| is_current(other) && is_newer(other, fact));
                prop_assert_eq!(sorted(versions.current_for(id)), current.clone(), "current for {}", fact);
                match versions.superseded_by(id) {
                    None => prop_assert!(current.is_empty(), "{} is superseded", fact),
                    Some(by) => prop_assert!(current.contains(&by), "{} by {:?}", fact, by),
                }
                let replaced = if is_current(fact) { all(&|other| is_newer(fact, other)) } else { Vec::new() };
                prop_assert_eq!(sorted(versions.replaced_by(id)), replaced, "replaced by {}", fact);
            }
        }
    }

    #[test]
    fn the_newest_of_several_is_named() {
        let all = (0..COUNT).map(MemoryId::Number).collect();
        let versions = Versions::new(&links(&[(1, 0), (3, 1), (2, 0)]), &all);
        assert_eq!(versions.superseded_by(MemoryId::Number(0)), Some(MemoryId::Number(2)), "linked last");
        assert_eq!(versions.superseded_by(MemoryId::Number(1)), Some(MemoryId::Number(3)));
        assert_eq!(versions.replaced_by(MemoryId::Number(3)), [1, 0].map(MemoryId::Number), "the last ones first");
        assert_eq!(versions.superseded_by(MemoryId::Number(8)), None, "not linked");
    }

    #[test]
    fn long_chains_need_no_deep_stack() {
        let pairs: Vec<(u64, u64)> = (0..50_000).map(|older| (older + 1, older)).collect();
        let visible = (0..=50_000).map(MemoryId::Number).collect();
        let versions = Versions::new(&links(&pairs), &visible);
        assert_eq!(versions.superseded_by(MemoryId::Number(0)), Some(MemoryId::Number(50_000)));
    }
}
