//! The modules of one crate, read from its source: which names each module declares and which paths its code names.
//!
//! Code under `#[cfg(test)]` is not read.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, Item, UseTree, Visibility};

/// Source files by their path inside the crate, for example `src/lib.rs`.
pub(crate) type Files = BTreeMap<String, String>;

/// The place of a module in [`Crate::modules`].
pub(crate) type ModuleId = usize;

/// All modules of one crate. A crate with `lib.rs` and `main.rs` has two roots.
#[derive(Default)]
pub(crate) struct Crate {
    pub(crate) modules: Vec<Module>,
    /// Files, or folders that end in `/`, that belong to modules under `#[cfg(test)]`.
    pub(crate) test_code: BTreeSet<String>,
    /// What each macro of the crate declares in the module that calls it.
    declared_by_macro: BTreeMap<String, Vec<String>>,
}

pub(crate) struct Module {
    pub(crate) file: String,
    pub(crate) parent: Option<ModuleId>,
    /// What the module declares or imports; one name can be a module and a function at once.
    pub(crate) names: BTreeMap<String, Vec<Name>>,
    pub(crate) imports: Vec<Import>,
    /// Macros that the code below them, in child modules too, can call without a path.
    pub(crate) macros: BTreeSet<String>,
    /// Paths in the module's own code, outside `use`.
    pub(crate) mentions: Vec<Mention>,
}

pub(crate) struct Name {
    pub(crate) meaning: Meaning,
    /// Has a visibility (`pub`, `pub(crate)`, …), so that modules outside this one can name it.
    pub(crate) exported: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Meaning {
    Child(ModuleId),
    /// A function, type, constant, … of this module.
    Item,
    /// The place in [`Module::imports`].
    Import(usize),
    /// A macro that another module declares with `#[macro_export]`.
    ExportedMacro(ModuleId),
}

/// One path of a `use`.
pub(crate) struct Import {
    pub(crate) path: NamePath,
    pub(crate) glob: bool,
    pub(crate) exported: bool,
    pub(crate) line: usize,
}

/// A path in an expression, a type, an attribute or the arguments of a macro.
pub(crate) struct Mention {
    pub(crate) path: NamePath,
    pub(crate) macro_call: bool,
    pub(crate) line: usize,
}

#[derive(Clone)]
pub(crate) struct NamePath {
    /// Starts with `::`, so it names another crate.
    pub(crate) external: bool,
    pub(crate) segments: Vec<String>,
}

impl Crate {
    /// Reads every module that the crate's roots declare, directly or through their children.
    ///
    /// # Panics
    /// If a file cannot be parsed or a declared module has no file.
    pub(crate) fn read(files: &Files) -> Self {
        let mut all = Self { declared_by_macro: declared_by_macros(files), ..Self::default() };
        for root in files.keys().filter(|path| is_root(path)) {
            let folder = root[..root.rfind('/').map_or(0, |end| end + 1)].to_owned();
            all.read_file(files, root, folder, None);
        }
        all
    }

    /// Files that no root declares.
    pub(crate) fn unread<'f>(&self, files: &'f Files) -> Vec<&'f str> {
        let read: BTreeSet<&str> = self.modules.iter().map(|module| module.file.as_str()).collect();
        let is_test = |path: &str| {
            self.test_code.iter().any(|test| path == test || test.ends_with('/') && path.starts_with(test))
        };
        files.keys().map(String::as_str).filter(|path| !read.contains(path) && !is_test(path)).collect()
    }

    /// The crate's root of a module.
    pub(crate) fn root_of(&self, mut module: ModuleId) -> ModuleId {
        while let Some(parent) = self.modules[module].parent {
            module = parent;
        }
        module
    }

    /// Whether `module` is `ancestor` or lies below it.
    pub(crate) fn is_within(&self, mut module: ModuleId, ancestor: ModuleId) -> bool {
        loop {
            if module == ancestor {
                return true;
            }
            match self.modules[module].parent {
                Some(parent) => module = parent,
                None => return false,
            }
        }
    }

    fn read_file(&mut self, files: &Files, path: &str, folder: String, parent: Option<ModuleId>) -> ModuleId {
        let parsed = match syn::parse_file(&files[path]) {
            Ok(parsed) => parsed,
            Err(error) => panic!("{path}:{}: {error}", error.span().start().line),
        };
        self.read_items(files, path, folder, parent, &parsed.items)
    }

    fn read_items(
        &mut self,
        files: &Files,
        path: &str,
        folder: String,
        parent: Option<ModuleId>,
        items: &[Item],
    ) -> ModuleId {
        let module = self.modules.len();
        self.modules.push(Module {
            file: path.to_owned(),
            parent,
            names: BTreeMap::new(),
            imports: Vec::new(),
            macros: BTreeSet::new(),
            mentions: Vec::new(),
        });
        let mut reader = Reader { all: self, files, module, folder, bound: Vec::new() };
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            reader.declare(item);
        }
        for item in items {
            reader.visit_item(item);
        }
        module
    }
}

/// The structs, enums, constants and statics in the bodies of each `macro_rules!` at the top of a file.
fn declared_by_macros(files: &Files) -> BTreeMap<String, Vec<String>> {
    let mut declared = BTreeMap::new();
    let items = files.values().filter_map(|source| syn::parse_file(source).ok()).flat_map(|file| file.items);
    for item in items {
        let Item::Macro(syn::ItemMacro { ident: Some(name), mac, .. }) = item else { continue };
        let bodies = mac.tokens.into_iter().filter_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.stream()),
            _ => None,
        });
        let mut names = Vec::new();
        for body in bodies {
            let tokens: Vec<TokenTree> = body.into_iter().collect();
            for pair in tokens.windows(2) {
                if let [TokenTree::Ident(kind), TokenTree::Ident(name)] = pair
                    && ["struct", "enum", "const", "static"].contains(&kind.to_string().as_str())
                {
                    names.push(name.unraw().to_string());
                }
            }
        }
        declared.insert(name.unraw().to_string(), names);
    }
    declared
}

fn is_root(path: &str) -> bool {
    matches!(path, "src/lib.rs" | "src/main.rs")
        || path.strip_prefix("src/bin/").is_some_and(|name| !name.contains('/') || name.ends_with("/main.rs"))
}

/// Reads the items of one module.
struct Reader<'a> {
    all: &'a mut Crate,
    files: &'a Files,
    module: ModuleId,
    /// Where the files of child modules are; ends in `/`.
    folder: String,
    /// Names that patterns bind in the functions around the current code.
    bound: Vec<BTreeSet<String>>,
}

impl Reader<'_> {
    fn here(&mut self) -> &mut Module {
        &mut self.all.modules[self.module]
    }

    fn add(&mut self, name: &Ident, visibility: &Visibility, meaning: Meaning) {
        let exported = is_exported(visibility);
        self.here().names.entry(name.unraw().to_string()).or_default().push(Name { meaning, exported });
    }

    /// Records what an item of the module is called; modules and imports are recorded when they are visited.
    fn declare(&mut self, item: &Item) {
        let (name, visibility) = match item {
            Item::Const(item) => (&item.ident, &item.vis),
            Item::Enum(item) => (&item.ident, &item.vis),
            Item::Fn(item) => (&item.sig.ident, &item.vis),
            Item::Static(item) => (&item.ident, &item.vis),
            Item::Struct(item) => (&item.ident, &item.vis),
            Item::Trait(item) => (&item.ident, &item.vis),
            Item::TraitAlias(item) => (&item.ident, &item.vis),
            Item::Type(item) => (&item.ident, &item.vis),
            Item::Union(item) => (&item.ident, &item.vis),
            Item::Macro(item) => return self.declare_macro(item),
            _ => return,
        };
        self.add(name, visibility, Meaning::Item);
    }

    fn declare_macro(&mut self, item: &syn::ItemMacro) {
        let Some(name) = &item.ident else {
            let called = item.mac.path.segments.last().map(|segment| segment.ident.unraw().to_string());
            let names = called.and_then(|called| self.all.declared_by_macro.get(&called)).cloned().unwrap_or_default();
            for name in names {
                self.here().names.entry(name).or_default().push(Name { meaning: Meaning::Item, exported: true });
            }
            return;
        };
        self.add(name, &Visibility::Inherited, Meaning::Item);
        self.here().macros.insert(name.unraw().to_string());
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) {
            let meaning = Meaning::ExportedMacro(self.module);
            let root = self.all.root_of(self.module);
            let name = name.unraw().to_string();
            self.all.modules[root].names.entry(name).or_default().push(Name { meaning, exported: true });
        }
    }

    /// The files in which the module `name`, declared here without a body, can be, and the folder of its children.
    fn places(&self, name: &str, attributes: &[Attribute]) -> [(String, String); 2] {
        if let Some(given) = attributes.iter().find_map(path_attribute) {
            let file = &self.all.modules[self.module].file;
            let mut folders: Vec<&str> = file.split('/').collect();
            folders.pop();
            for part in given.split('/') {
                match part {
                    "." => {}
                    ".." => drop(folders.pop()),
                    part => folders.push(part),
                }
            }
            let path = folders.join("/");
            let folder = path[..path.rfind('/').map_or(0, |end| end + 1)].to_owned();
            return [(path.clone(), folder.clone()), (path, folder)];
        }
        let folder = format!("{}{name}/", self.folder);
        [(format!("{}{name}.rs", self.folder), folder.clone()), (format!("{folder}mod.rs"), folder)]
    }

    fn read_child(&mut self, item: &syn::ItemMod) {
        let name = item.ident.unraw().to_string();
        let child = if let Some((_, items)) = &item.content {
            let file = self.all.modules[self.module].file.clone();
            let folder = format!("{}{name}/", self.folder);
            self.all.read_items(self.files, &file, folder, Some(self.module), items)
        } else {
            let places = self.places(&name, &item.attrs);
            let Some((path, folder)) = places.iter().find(|(path, _)| self.files.contains_key(path)) else {
                panic!("{}: mod {name} has no file", self.all.modules[self.module].file);
            };
            self.all.read_file(self.files, path, folder.clone(), Some(self.module))
        };
        self.add(&item.ident, &item.vis, Meaning::Child(child));
    }

    fn import(&mut self, tree: &UseTree, prefix: &NamePath, exported: bool) {
        let with = |ident: &Ident| {
            let mut path = prefix.clone();
            path.segments.push(ident.unraw().to_string());
            path
        };
        let (path, name, at) = match tree {
            UseTree::Path(tree) => return self.import(&tree.tree, &with(&tree.ident), exported),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, prefix, exported);
                }
                return;
            }
            UseTree::Glob(tree) => (prefix.clone(), None, tree.star_token.spans[0]),
            UseTree::Name(tree) if tree.ident == "self" => {
                (prefix.clone(), prefix.segments.last().cloned(), tree.ident.span())
            }
            UseTree::Name(tree) => (with(&tree.ident), Some(tree.ident.unraw().to_string()), tree.ident.span()),
            UseTree::Rename(tree) => {
                let path = if tree.ident == "self" { prefix.clone() } else { with(&tree.ident) };
                (path, Some(tree.rename.unraw().to_string()), tree.ident.span())
            }
        };
        let glob = matches!(tree, UseTree::Glob(_));
        let module = self.here();
        if let Some(name) = name {
            let meaning = Meaning::Import(module.imports.len());
            module.names.entry(name).or_default().push(Name { meaning, exported });
        }
        module.imports.push(Import { path, glob, exported, line: at.start().line });
    }

    fn mention(&mut self, path: NamePath, line: usize, macro_call: bool) {
        if let [name] = path.segments.as_slice()
            && (name == "Self" || self.bound.iter().any(|names| names.contains(name)))
        {
            return;
        }
        self.here().mentions.push(Mention { path, macro_call, line });
    }

    /// Looks for paths in the arguments of a macro or an attribute, whose grammar is unknown.
    fn scan(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |place: usize, sign: char| matches!(tokens.get(place), Some(TokenTree::Punct(found)) if found.as_char() == sign);
        let colons = |place: usize| {
            is(place, ':')
                && is(place + 1, ':')
                && matches!(&tokens[place], TokenTree::Punct(colon) if colon.spacing() == Spacing::Joint)
        };
        let mut place = 0;
        while place < tokens.len() {
            match &tokens[place] {
                TokenTree::Group(group) => self.scan(group.stream()),
                TokenTree::Ident(first) => {
                    let start = place;
                    let mut segments = vec![first.unraw().to_string()];
                    while colons(place + 1)
                        && let Some(TokenTree::Ident(next)) = tokens.get(place + 3)
                    {
                        segments.push(next.unraw().to_string());
                        place += 3;
                    }
                    let before = |sign| start > 0 && is(start - 1, sign);
                    // `a.b`, but not `..b`
                    let is_field = before('.') && !(start > 1 && is(start - 2, '.'));
                    // `a: 1` and `a = 1`, but not `a == 1`
                    let is_key = segments.len() == 1
                        && (is(place + 1, ':') && !colons(place + 1) || is(place + 1, '=') && !is(place + 2, '='));
                    // `::a` and what follows `<T>`
                    let continues = start > 1 && colons(start - 2);
                    if !is_field && !is_key && !continues && !before('\'') {
                        let line = first.span().start().line;
                        let is_call = is(place + 1, '!')
                            && matches!(tokens.get(place + 2), Some(TokenTree::Group(group)) if group.delimiter() != Delimiter::None);
                        self.mention(NamePath { external: false, segments }, line, is_call);
                    }
                }
                _ => {}
            }
            place += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if let Item::Verbatim(tokens) = item {
            self.scan(tokens.clone());
        } else if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        } else if let Item::Mod(item) = item
            && item.content.is_none()
        {
            for (path, folder) in self.places(&item.ident.unraw().to_string(), &item.attrs) {
                self.all.test_code.extend([path, folder]);
            }
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.read_child(item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let start = NamePath { external: item.leading_colon.is_some(), segments: Vec::new() };
        self.import(&item.tree, &start, is_exported(&item.vis));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.bound.push(bound_in(|names| names.visit_item_fn(item)));
        visit::visit_item_fn(self, item);
        self.bound.pop();
    }

    /// Syntax that the parser only skips is searched for paths like the arguments of a macro.
    fn visit_expr(&mut self, expression: &'ast syn::Expr) {
        match expression {
            syn::Expr::Verbatim(tokens) => self.scan(tokens.clone()),
            _ => visit::visit_expr(self, expression),
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Const(item) => &item.attrs,
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            syn::ImplItem::Macro(item) => &item.attrs,
            _ => return,
        };
        if !is_test(attributes) {
            self.bound.push(bound_in(|names| names.visit_impl_item(item)));
            visit::visit_impl_item(self, item);
            self.bound.pop();
        }
    }

    fn visit_trait_item(&mut self, item: &'ast syn::TraitItem) {
        let attributes = match item {
            syn::TraitItem::Const(item) => &item.attrs,
            syn::TraitItem::Fn(item) => &item.attrs,
            syn::TraitItem::Type(item) => &item.attrs,
            syn::TraitItem::Macro(item) => &item.attrs,
            _ => return,
        };
        if !is_test(attributes) {
            self.bound.push(bound_in(|names| names.visit_trait_item(item)));
            visit::visit_trait_item(self, item);
            self.bound.pop();
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_test(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if !is_test(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !is_test(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if !is_test(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_test(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_stmt_macro(&mut self, statement: &'ast syn::StmtMacro) {
        if !is_test(&statement.attrs) {
            visit::visit_stmt_macro(self, statement);
        }
    }

    fn visit_expr_block(&mut self, block: &'ast syn::ExprBlock) {
        if !is_test(&block.attrs) {
            visit::visit_expr_block(self, block);
        }
    }

    /// `pub(in path)` uses nothing of the path.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect();
        let external = path.leading_colon.is_some();
        self.mention(NamePath { external, segments }, line_of(path), false);
        visit::visit_path(self, path);
    }

    /// A constant in a pattern looks like a binding.
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        let name = pattern.ident.unraw().to_string();
        if name.starts_with(char::is_uppercase) {
            let path = NamePath { external: false, segments: vec![name] };
            self.mention(path, pattern.ident.span().start().line, false);
        }
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let segments: Vec<String> =
            call.path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect();
        let external = call.path.leading_colon.is_some();
        self.mention(NamePath { external, segments }, line_of(&call.path), true);
        self.scan(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let syn::Meta::List(list) = &attribute.meta else { return };
        if !["cfg", "cfg_attr", "allow", "expect", "warn"].iter().any(|name| list.path.is_ident(name)) {
            self.scan(list.tokens.clone());
            self.scan_strings(list.tokens.clone());
        }
    }
}

impl Reader<'_> {
    /// Serde and others name functions in strings: `#[serde(with = "crate::time")]`.
    fn scan_strings(&mut self, tokens: TokenStream) {
        for token in tokens {
            if let TokenTree::Group(group) = &token {
                self.scan_strings(group.stream());
            } else if let TokenTree::Literal(literal) = &token
                && let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string())
                && text.value().contains("::")
                && let Ok(path) = syn::parse_str::<syn::Path>(&text.value())
            {
                let segments = path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect();
                self.mention(
                    NamePath { external: path.leading_colon.is_some(), segments },
                    literal.span().start().line,
                    false,
                );
            }
        }
    }
}

/// Collects the names that patterns bind.
struct Bound(BTreeSet<String>);

impl<'ast> Visit<'ast> for Bound {
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        let name = pattern.ident.unraw().to_string();
        if !name.starts_with(char::is_uppercase) {
            self.0.insert(name);
        }
        visit::visit_pat_ident(self, pattern);
    }
}

fn bound_in(visit: impl FnOnce(&mut Bound)) -> BTreeSet<String> {
    let mut names = Bound(BTreeSet::new());
    visit(&mut names);
    names.0
}

fn line_of(path: &syn::Path) -> usize {
    path.segments.first().map_or(0, |first| first.ident.span().start().line)
}

fn is_exported(visibility: &Visibility) -> bool {
    !matches!(visibility, Visibility::Inherited)
}

/// Whether the attributes keep the code out of everything but tests: `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`.
fn is_test(attributes: &[Attribute]) -> bool {
    fn needs_test(tokens: TokenStream) -> bool {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        match tokens.as_slice() {
            [TokenTree::Ident(name)] => name == "test",
            [TokenTree::Ident(all), TokenTree::Group(group)] if all == "all" => {
                let parts: Vec<TokenTree> = group.stream().into_iter().collect();
                parts
                    .split(|token| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ','))
                    .any(|part| needs_test(part.iter().cloned().collect()))
            }
            _ => false,
        }
    }
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) => list.path.is_ident("cfg") && needs_test(list.tokens.clone()),
        syn::Meta::NameValue(_) => false,
    })
}

fn path_attribute(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
