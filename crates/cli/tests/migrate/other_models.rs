//! An embedder with the dims of the collection, but of another model, does not fit.

use mnemon_testbed::EmbeddingsEndpoint;
use rand::rngs::StdRng;

use crate::parts::{TARGETS, part, stack_with_history};
use crate::stack::{DIMS, SOURCE, Stack, letter_counts};

/// Ways to make vectors of the right length that the collection does not have.
type Model = (&'static str, fn(&[&str]) -> Vec<Vec<f32>>);

const OTHERS: [Model; 5] = [
    ("turned", |texts| changed(texts, |vector| vector.rotate_left(DIMS / 2))),
    ("negated", |texts| changed(texts, |vector| vector.iter_mut().for_each(|value| *value = -*value))),
    ("one direction", |texts| {
        changed(texts, |vector| vector.iter_mut().enumerate().for_each(|(at, value)| *value = f32::from(at == 0)))
    }),
    ("signs", |texts| changed(texts, |vector| vector.iter_mut().step_by(2).for_each(|value| *value = -*value))),
    ("by length", |texts| {
        texts.iter().map(|text| (0..DIMS).map(|at| ((text.len() * (at + 1)) as f32).sin()).collect()).collect()
    }),
];

/// Ways to make the vectors of the same model that are not equal bit by bit.
const SAME: [Model; 2] = [
    ("rounded", |texts| {
        changed(texts, |vector| vector.iter_mut().for_each(|value| *value = (*value * 16.0).round() / 16.0))
    }),
    ("longer", |texts| changed(texts, |vector| vector.iter_mut().for_each(|value| *value *= 7.0))),
];

fn changed(texts: &[&str], change: fn(&mut Vec<f32>)) -> Vec<Vec<f32>> {
    let mut vectors = letter_counts(texts);
    vectors.iter_mut().for_each(change);
    vectors
}

fn with_model(stack: &mut Stack, model: fn(&[&str]) -> Vec<Vec<f32>>) -> EmbeddingsEndpoint {
    let endpoint = EmbeddingsEndpoint::start(model);
    stack.variables.retain(|(name, _)| *name != "MNEMON_EMBEDDER_URL");
    stack.variables.push(("MNEMON_EMBEDDER_URL", endpoint.url().to_owned()));
    endpoint
}

/// As without an embedder: refused before anything is written, unless `--without-entities` is given.
pub(crate) fn an_embedder_of_another_model_is_refused_as_none_is(random: &mut StdRng) {
    let (mut stack, _) = stack_with_history(random);
    std::fs::write(stack.path(".env"), "QDRANT_COLLECTION_NAME=mem0\n").unwrap();
    let source = stack.points(SOURCE);
    let assert_refused = |stack: &Stack, what: &str, args: &[&str]| {
        let refused = stack.run(args);
        let (_, message) = refused.error();
        assert_eq!(refused.code, 4, "{what} {args:?}: {refused:?}");
        for word in ["other vectors", "MNEMON_EMBEDDER", "--without-entities"] {
            assert!(message.contains(word), "{what} {args:?}: {message}");
        }
    };
    for (what, model) in OTHERS {
        let _endpoint = with_model(&mut stack, model);
        for (target, _) in TARGETS {
            assert_refused(&stack, what, &[&["run", "--yes"], target].concat());
            assert_refused(&stack, what, &[&["rebuild"], target].concat());
        }
        assert_eq!(source, stack.points(SOURCE), "{what}");
        assert!(stack.points("mem0_v3").is_empty() && !stack.path("new.db").exists(), "{what}");
    }
    let _endpoint = with_model(&mut stack, OTHERS[0].1);
    stack.run(&["backup"]).ok();
    assert_eq!(stack.run(&["rehearse"]).ok()["copied"]["entities_rehearsed"], false);
    stack.run(&["rebuild", "--target", "mem0_v3", "--without-entities"]).ok();
    stack.run(&["verify"]).ok();
    let cutover = ["cutover", "--env-file", ".env", "--no-smoke"];
    assert_eq!(stack.run(&cutover).code, 4);
    assert_eq!(stack.run(&["status"]).ok()["without_entities"], true);
    for (what, model) in SAME {
        let _endpoint = with_model(&mut stack, model);
        stack.run(&["rebuild"]).ok();
        assert_eq!(part(&stack, "rebuild", "entities"), "done", "{what}");
        stack.run(&["verify"]).ok();
    }
    let _endpoint = with_model(&mut stack, OTHERS[0].1);
    assert_refused(&stack, "cutover", &cutover);
    stack.variables.clear();
    stack.run(&cutover).ok();
}
