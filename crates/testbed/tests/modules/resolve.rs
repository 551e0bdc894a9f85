//! Which file's items the code of a file uses.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Crate, Meaning, Mention, ModuleId, Name, NamePath};

/// `(from, to)` → where `from` names an item of `to`.
pub(crate) type Edges = BTreeMap<(String, String), BTreeSet<Site>>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Site {
    pub(crate) line: usize,
    pub(crate) path: String,
}

/// What a path names.
#[derive(Clone, Copy, PartialEq)]
enum Target {
    Module(ModuleId),
    /// Something that the module declares.
    Item(ModuleId),
    /// A name that was not found in the module: a macro may have made it.
    Unknown(ModuleId),
}

/// The edges between the files of a crate, and paths that lead into a module but were not found there.
pub(crate) fn edges(all: &Crate) -> (Edges, Vec<String>) {
    let mut found = Found { all, edges: Edges::new(), unknown: Vec::new() };
    for id in 0..all.modules.len() {
        found.imports(id);
        for mention in &all.modules[id].mentions {
            found.mention(id, mention);
        }
    }
    (found.edges, found.unknown)
}

struct Found<'a> {
    all: &'a Crate,
    edges: Edges,
    unknown: Vec<String>,
}

impl Found<'_> {
    fn imports(&mut self, from: ModuleId) {
        for import in &self.all.modules[from].imports {
            for target in resolve(self.all, from, &import.path, &mut Seen::new()) {
                let to = match target {
                    // Importing a module uses none of its items; paths that start with its name do.
                    Target::Module(_) if !import.glob => continue,
                    Target::Module(to) | Target::Item(to) => to,
                    Target::Unknown(to) => self.not_found(from, &import.path, import.line, to),
                };
                // A parent may re-export the items of its children.
                if !(import.exported && self.all.is_within(to, from)) {
                    self.add(from, to, &import.path, import.line, import.glob);
                }
            }
        }
    }

    fn mention(&mut self, from: ModuleId, mention: &Mention) {
        let path = &mention.path;
        if path.external {
            return;
        }
        // A private `use` of an item has made the edge already.
        if let Some(names) = path.segments.first().and_then(|first| self.all.modules[from].names.get(first))
            && names.iter().any(|name| self.is_private_import(from, name))
        {
            return;
        }
        let mut targets = resolve(self.all, from, path, &mut Seen::new());
        if targets.is_empty() && mention.macro_call {
            targets.extend(declared_macro(self.all, from, path));
        }
        for target in targets {
            match target {
                Target::Module(_) => {}
                Target::Item(to) => self.add(from, to, path, mention.line, false),
                Target::Unknown(to) => {
                    let to = self.not_found(from, path, mention.line, to);
                    self.add(from, to, path, mention.line, false);
                }
            }
        }
    }

    fn is_private_import(&self, from: ModuleId, name: &Name) -> bool {
        let Meaning::Import(place) = name.meaning else { return false };
        let path = &self.all.modules[from].imports[place].path;
        !name.exported
            && resolve(self.all, from, path, &mut Seen::new()).iter().all(|target| !matches!(target, Target::Module(_)))
    }

    fn not_found(&mut self, from: ModuleId, path: &NamePath, line: usize, to: ModuleId) -> ModuleId {
        self.unknown.push(format!("{}:{line}: {}", self.all.modules[from].file, path.segments.join("::")));
        to
    }

    fn add(&mut self, from: ModuleId, to: ModuleId, path: &NamePath, line: usize, glob: bool) {
        let file = |id: ModuleId| self.all.modules[id].file.clone();
        let (from, to) = (file(from), file(to));
        if from != to {
            let mut path = path.segments.join("::");
            if glob {
                path.push_str("::*");
            }
            self.edges.entry((from, to)).or_default().insert(Site { line, path });
        }
    }
}

/// Imports that are being followed, each for one name, since imports can lead to one another.
type Seen = BTreeSet<(ModuleId, usize, String)>;

/// What a path names when code of `from` writes it; nothing if it leads to another crate.
fn resolve(all: &Crate, from: ModuleId, path: &NamePath, seen: &mut Seen) -> Vec<Target> {
    let Some((first, rest)) = path.segments.split_first() else { return Vec::new() };
    if path.external {
        return Vec::new();
    }
    let mut targets = match first.as_str() {
        "crate" => vec![Target::Module(all.root_of(from))],
        "self" => vec![Target::Module(from)],
        "super" => all.modules[from].parent.map(Target::Module).into_iter().collect(),
        name => lookup(all, from, name, from, seen),
    };
    for name in rest {
        // Of a module and a function with one name, only the module leads further.
        if targets.iter().any(|target| matches!(target, Target::Module(_))) {
            targets.retain(|target| matches!(target, Target::Module(_)));
        }
        let mut next = Vec::new();
        for target in targets {
            match target {
                Target::Module(id) if name == "super" => next.extend(all.modules[id].parent.map(Target::Module)),
                Target::Module(id) if name == "self" => next.push(Target::Module(id)),
                Target::Module(id) => {
                    let found = lookup(all, id, name, from, seen);
                    if found.is_empty() && !reexports_other_crates(all, id, name) {
                        next.push(Target::Unknown(id));
                    }
                    next.extend(found);
                }
                // An associated item or a variant.
                Target::Item(_) | Target::Unknown(_) => next.push(target),
            }
        }
        targets = next;
    }
    targets
}

/// What `name` means in module `id` for code of `asking`: what the module declares or imports, then what its glob imports bring into scope.
fn lookup(all: &Crate, id: ModuleId, name: &str, asking: ModuleId, seen: &mut Seen) -> Vec<Target> {
    let module = &all.modules[id];
    let mut targets = Vec::new();
    let meanings = module.names.get(name).map_or(&[][..], Vec::as_slice);
    for found in meanings.iter().filter(|found| found.exported || all.is_within(asking, id)) {
        match found.meaning {
            Meaning::Child(child) => targets.push(Target::Module(child)),
            Meaning::Item => targets.push(Target::Item(id)),
            Meaning::ExportedMacro(of) => targets.push(Target::Item(of)),
            Meaning::Import(place) => targets.extend(follow(all, id, place, name, seen)),
        }
    }
    if meanings.is_empty() {
        for (place, import) in module.imports.iter().enumerate() {
            if import.glob && (import.exported || all.is_within(asking, id)) {
                targets.extend(follow(all, id, place, name, seen));
            }
        }
    }
    targets.dedup();
    targets
}

/// What an import of module `id` makes of `name`.
fn follow(all: &Crate, id: ModuleId, place: usize, name: &str, seen: &mut Seen) -> Vec<Target> {
    let key = (id, place, name.to_owned());
    if !seen.insert(key.clone()) {
        return Vec::new();
    }
    let import = &all.modules[id].imports[place];
    let mut targets = resolve(all, id, &import.path, seen);
    if import.glob {
        let modules = targets.into_iter().filter_map(|target| match target {
            Target::Module(of) => Some(of),
            Target::Item(_) | Target::Unknown(_) => None,
        });
        targets = modules.flat_map(|of| lookup(all, of, name, id, seen)).collect();
    }
    seen.remove(&key);
    targets
}

/// Whether the module imports `name`, or everything, from another crate.
fn reexports_other_crates(all: &Crate, id: ModuleId, name: &str) -> bool {
    let module = &all.modules[id];
    module.names.contains_key(name)
        || module
            .imports
            .iter()
            .any(|import| import.glob && resolve(all, id, &import.path, &mut Seen::new()).is_empty())
}

/// The module of the crate that declares a macro which is called without a path; the nearest one above comes first.
fn declared_macro(all: &Crate, from: ModuleId, path: &NamePath) -> Option<Target> {
    let [name] = path.segments.as_slice() else { return None };
    let declares = |id: &ModuleId| all.modules[*id].macros.contains(name);
    let mut above = std::iter::successors(Some(from), |id| all.modules[*id].parent);
    let mut anywhere = (0..all.modules.len()).filter(|id| all.root_of(*id) == all.root_of(from));
    above.find(declares).or_else(|| anywhere.find(declares)).map(Target::Item)
}
