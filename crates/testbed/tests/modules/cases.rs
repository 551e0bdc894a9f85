//! Tests of the parser, the resolver and the graph on small made-up crates.

use crate::graph;
use crate::resolve;
use crate::source::{Crate, Files};

/// A made-up crate: each file follows a line `//- its path below src`.
fn files(fixture: &str) -> Files {
    let mut files = Files::new();
    for part in fixture.split("//- ").skip(1) {
        let (path, source) = part.split_once('\n').unwrap();
        files.insert(format!("src/{}", path.trim()), source.to_owned());
    }
    files
}

/// Compares the edges of a made-up crate, as `from -> to`, and its cycles, as lists of files.
fn check(name: &str, fixture: &str, expected_edges: &[&str], expected_cycles: &[&str]) {
    let files = files(fixture);
    let all = Crate::read(&files);
    assert!(all.unread(&files).is_empty(), "{name}: {:?}", all.unread(&files));
    let (edges, unknown) = resolve::edges(&all);
    assert!(unknown.is_empty(), "{name}: {unknown:?}");
    let short = |path: &str| path.replace("src/", "");
    let found: Vec<String> = edges.keys().map(|(from, to)| format!("{} -> {}", short(from), short(to))).collect();
    assert_eq!(found, expected_edges, "{name}");
    let cycles = graph::cycles(&edges);
    let found: Vec<String> = cycles.iter().map(|cycle| short(&cycle.files.join(" "))).collect();
    assert_eq!(found, expected_cycles, "{name}");
    for cycle in &cycles {
        let ends: Vec<&str> = cycle.shortest.iter().map(|edge| edge.to.as_str()).collect();
        let starts: Vec<&str> = cycle.shortest.iter().map(|edge| edge.from.as_str()).collect();
        assert_eq!(starts[1..], ends[..ends.len() - 1], "{name}: each edge starts where the one before ends");
        assert_eq!(starts[0], ends[ends.len() - 1], "{name}: the last edge leads back to the first file");
        assert!(!cycle.cuts.is_empty(), "{name}: no edge to remove");
    }
}

#[test]
fn cycles_are_found() {
    check(
        "two siblings",
        "//- lib.rs
         mod a; mod b;
         //- a.rs
         use crate::b::B; pub struct A(B);
         //- b.rs
         pub struct B; fn f(_: &super::a::A) {}",
        &["a.rs -> b.rs", "b.rs -> a.rs"],
        &["a.rs b.rs"],
    );
    check(
        "a cycle of three files, and a file outside that uses one of them",
        "//- lib.rs
         mod a; mod b; mod c; mod d;
         //- a.rs
         use crate::b; pub fn a() { b::b() }
         //- b.rs
         pub fn b() { crate::c::c() }
         //- c.rs
         pub fn c() { super::a::a() }
         //- d.rs
         use crate::a::a; fn d() { a() }",
        &["a.rs -> b.rs", "b.rs -> c.rs", "c.rs -> a.rs", "d.rs -> a.rs"],
        &["a.rs b.rs c.rs"],
    );
    check(
        "a parent whose own code uses a child that uses the parent's item",
        "//- lib.rs
         mod a;
         //- a.rs
         mod b; pub struct Options; pub fn run() { b::run(&Options) }
         //- a/b.rs
         use super::Options; pub fn run(_: &Options) {}",
        &["a.rs -> a/b.rs", "a/b.rs -> a.rs"],
        &["a.rs a/b.rs"],
    );
    check(
        "a parent's code uses, by its short name, what the parent re-exports",
        "//- lib.rs
         mod a;
         //- a.rs
         mod b; pub use b::B; pub struct A(B);
         //- a/b.rs
         pub struct B; impl B { fn of(_: &super::A) {} }",
        &["a.rs -> a/b.rs", "a/b.rs -> a.rs"],
        &["a.rs a/b.rs"],
    );
}

#[test]
fn facades_make_no_cycles() {
    check(
        "a parent that declares and re-exports, a child that uses its sibling through the parent",
        "//- lib.rs
         pub mod a;
         //- a.rs
         mod b; mod c; pub use b::B; pub(crate) use self::c::{C, D as E};
         //- a/b.rs
         pub struct B; fn f(_: super::C, _: crate::a::E) {}
         //- a/c.rs
         pub struct C; pub struct D;",
        &["a/b.rs -> a/c.rs"],
        &[],
    );
    check(
        "a glob re-export, used through the root",
        "//- lib.rs
         mod a; mod b; pub use a::*;
         //- a.rs
         mod c; pub use c::*;
         //- a/c.rs
         pub struct C;
         //- b.rs
         use crate::C; use crate::a::C as Again;",
        &["b.rs -> a/c.rs"],
        &[],
    );
    check(
        "a parent that uses children which use nothing of it",
        "//- lib.rs
         mod a; mod b; fn f() { a::f(b::B) }
         //- a.rs
         use crate::b::B; pub fn f(_: B) {}
         //- b.rs
         pub struct B;",
        &["a.rs -> b.rs", "lib.rs -> a.rs", "lib.rs -> b.rs"],
        &[],
    );
    check(
        "pub(in path) uses nothing",
        "//- lib.rs
         mod a; struct Own;
         //- a.rs
         mod b; pub struct A; fn f() { b::f() }
         //- a/b.rs
         pub(in crate::a) fn f() {}",
        &["a.rs -> a/b.rs"],
        &[],
    );
}

#[test]
fn reexports_are_followed_to_the_declaring_file() {
    check(
        "two levels of facades, a rename, and a private import of the parent",
        "//- lib.rs
         mod outer; mod user; mod own; use own::Own;
         //- outer.rs
         mod inner; pub(crate) use inner::Thing as Other;
         //- outer/inner.rs
         mod deep; pub use deep::Thing;
         //- outer/inner/deep.rs
         pub struct Thing; impl Thing { pub fn new() {} }
         //- own.rs
         pub struct Own;
         //- user.rs
         use crate::{outer::{self as alias}, Own}; fn f(_: Own) { alias::Other::new(); }",
        &["lib.rs -> own.rs", "user.rs -> outer/inner/deep.rs", "user.rs -> own.rs"],
        &[],
    );
    check(
        "a re-export of an item outside the module's children is an edge",
        "//- lib.rs
         mod a; mod b;
         //- a.rs
         pub use crate::b::B; pub struct A;
         //- b.rs
         pub struct B(crate::a::A);",
        &["a.rs -> b.rs", "b.rs -> a.rs"],
        &["a.rs b.rs"],
    );
    check(
        "a module and a function with one name",
        "//- lib.rs
         mod a; mod b; mod c;
         //- a.rs
         mod run; pub use run::run; pub struct A;
         //- a/run.rs
         pub fn run() {} pub fn other() {}
         //- b.rs
         use crate::a::run; fn f() { run() }
         //- c.rs
         use super::a; fn f() { a::run() }",
        &["b.rs -> a/run.rs", "c.rs -> a/run.rs"],
        &[],
    );
    check(
        "two modules that import each other with globs",
        "//- lib.rs
         mod a; mod b;
         //- a.rs
         pub use crate::b::*; pub struct A;
         //- b.rs
         pub use crate::a::*; pub struct B; fn f(_: A) {}",
        &["a.rs -> b.rs", "b.rs -> a.rs"],
        &["a.rs b.rs"],
    );
}

#[test]
fn tests_do_not_count() {
    check(
        "inline modules, modules in files, functions, imports, fields",
        "//- lib.rs
         mod a; mod b; pub struct Root;
         //- a.rs
         #[cfg(test)] use crate::b::B;
         pub struct A { #[cfg(test)] b: B }
         #[cfg(all(test, unix))] fn f(_: crate::b::B) {}
         #[cfg(test)] mod tests { use super::*; use crate::b::B; }
         //- b.rs
         use crate::a::A; pub struct B(A);
         #[cfg(test)] mod tests;
         //- b/tests.rs
         mod more; use crate::Root;
         //- b/tests/more.rs
         use crate::Root;",
        &["b.rs -> a.rs"],
        &[],
    );
    check(
        "code for other configurations than tests counts",
        "//- lib.rs
         mod a; mod b;
         //- a.rs
         #[cfg(not(test))] use crate::b::B;
         #[cfg(any(test, feature = \"x\"))] fn f(_: super::b::B) {}
         //- b.rs
         pub struct B;",
        &["a.rs -> b.rs"],
        &[],
    );
}

#[test]
fn paths_are_found_wherever_code_can_write_them() {
    // Each line is the whole body of a module `user`, which has a sibling `a` and a child `child`.
    let uses = [
        "use crate::a::A;",
        "use super::a::{A};",
        "use super::a::{self, A as _};",
        "use super::a::*;",
        "use super::*; fn f(_: a::A) {}",
        "fn f() { use crate::a as x; x::f(); }",
        "fn f(_: &dyn super::a::T) {}",
        "impl super::a::T for () {}",
        "fn f() { let _ = <u8 as crate::a::T>::X; }",
        "type X = Vec<Option<crate::a::A>>;",
        "fn f() { match 1 { crate::a::X => {} _ => {} } }",
        "use crate::a::X; fn f() { let X = 1; }",
        "fn f() { println!(\"{}\", super::a::X); }",
        "fn f() { vec![1, [x.y(..crate::a::X)]]; }",
        "#[derive(Y)] #[y(with = super::a::f)] struct S;",
        "#[derive(Y)] struct S { #[serde(with = \"crate::a::f\")] y: u8 }",
        "macro_rules! m { () => { $crate::a::f() } }",
        "mod inline { pub(super) fn f() { super::super::a::f() } }",
        "fn f() { self::child::more::a::f() }",
        "fn f() -> impl Fn() { async move { crate::a::f().await? } }",
        "fn f() { if let Some(x) = y && let Some(z) = crate::a::f(x) {} }",
        "fn f() { crate::exported!() }",
        "fn f() { exported!() }",
        "pub use crate::a::A;",
        "use crate::r#a::A as r#type;",
    ];
    for line in uses {
        check(
            line,
            &format!(
                "//- lib.rs
                 #[macro_use] mod a; mod user;
                 //- a.rs
                 pub struct A; pub trait T {{}} pub const X: u8 = 1; pub fn f() {{}}
                 #[macro_export] macro_rules! exported {{ () => {{}} }}
                 //- user.rs
                 mod child;
                 {line}
                 //- user/child.rs
                 pub mod more {{ pub use crate::a; }}"
            ),
            if line.contains("use super::*") {
                &["user.rs -> a.rs", "user.rs -> lib.rs"]
            } else {
                &["user.rs -> a.rs"]
            },
            &[],
        );
    }
    let others = [
        "// use crate::a::A;",
        "/* crate::a::f() /* nested */ use super::a::A; */",
        "/// See [`crate::a::A`].\nfn f() {}",
        "const X: &str = \"use crate::a::A;\";",
        "const X: &str = r#\"crate::a::f() \" crate::a::f()\"#;",
        "const X: char = '\"'; const Y: &str = \"crate::a::f()\";",
        "use crate::a; fn f(a: u8) { let f = a; }",
        "fn f() { ::a::f(); x.a(); json!({\"a\": x.a, a: 1}); }",
        "use ::a::A; use std::fmt::*;",
        "fn a() {} fn f() { a() }",
        "pub use super::a;",
    ];
    for line in others {
        check(
            line,
            &format!(
                "//- lib.rs
                 mod a; mod user;
                 //- a.rs
                 pub struct A; pub fn f() {{}}
                 //- user.rs
                 {line}"
            ),
            &[],
            &[],
        );
    }
}

#[test]
fn files_of_modules_are_found() {
    check(
        "mod.rs, path attributes, inline modules with files, two roots",
        "//- lib.rs
         mod a; mod inline { pub mod leaf; } #[path = \"other/name.rs\"] mod b; fn f() { a::c::f(); b::f(); inline::leaf::f() }
         //- main.rs
         mod cli; fn main() { cli::run() }
         //- cli.rs
         pub fn run() { crate::main() }
         //- a/mod.rs
         pub mod c;
         //- a/c.rs
         pub fn f() {}
         //- inline/leaf.rs
         pub fn f() {}
         //- other/name.rs
         mod d; pub fn f() { d::f() }
         //- other/d.rs
         pub fn f() {}",
        &[
            "cli.rs -> main.rs",
            "lib.rs -> a/c.rs",
            "lib.rs -> inline/leaf.rs",
            "lib.rs -> other/name.rs",
            "main.rs -> cli.rs",
            "other/name.rs -> other/d.rs",
        ],
        &["cli.rs main.rs"],
    );
    let files = files("//- lib.rs\nmod a;\n//- a.rs\n//- forgotten.rs\n");
    assert_eq!(Crate::read(&files).unread(&files), ["src/forgotten.rs"]);
}

#[test]
fn cycles_say_which_lines_make_them() {
    let files = files(
        "//- lib.rs
mod a;
mod b;
mod c;
//- a.rs

use crate::b::B;
pub struct A(B);
//- b.rs
use crate::c::C;
pub struct B(C);

fn f(a: super::a::A) {
    super::a::A;
}
//- c.rs
pub struct C(crate::b::B);",
    );
    let cycles = graph::cycles(&resolve::edges(&Crate::read(&files)).0);
    let expected = "\
cycle of 3 files: a.rs b.rs c.rs
  shortest cycle:
    a.rs -> b.rs  2: crate::b::B
    b.rs -> a.rs  4: super::a::A, 5: super::a::A
  edges to remove:
    a.rs -> b.rs  2: crate::b::B
    b.rs -> c.rs  1: crate::c::C
  all edges:
    a.rs -> b.rs  2: crate::b::B
    b.rs -> a.rs  4: super::a::A, 5: super::a::A
    b.rs -> c.rs  1: crate::c::C
    c.rs -> b.rs  1: crate::b::B
";
    assert_eq!(cycles.len(), 1);
    assert_eq!(cycles[0].to_string(), expected);
}

#[test]
fn a_macro_declares_items_where_it_is_called() {
    let source = "//- lib.rs
        mod a; mod b; mod c;
//- a.rs
        macro_rules! make { ($name:ident) => { pub struct Made; impl Made { pub const N: u8 = 0; } }; }
        pub(crate) use make;
//- b.rs
        use crate::a::make;
        make! { x }
//- c.rs
        fn f(_: crate::b::Made) {}
";
    check("a macro", source, &["b.rs -> a.rs", "c.rs -> b.rs"], &[]);
}
