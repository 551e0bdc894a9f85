//! Trains the tagger: `cargo run --release --example train_tagger -- OUT_DIR ANNOTATED...`
//!
//! `data/annotate.py` writes the annotated files. Each classifier is trained twice: first with every feature, to find those
//! that are worth a row, then with the selected rows only. Prints the accuracy on every twenty-fifth sentence, which is not
//! used for training. `data/README.md` describes the formats.

#![allow(clippy::unwrap_used, reason = "a tool for developers: a wrong input file may stop it")]

#[allow(dead_code, unused_imports, unreachable_pub, reason = "the library's modules, to share its features")]
#[path = "../src"]
mod library {
    pub mod tag;
}

use std::collections::HashMap;
use std::{env, fs};

use library::tag::{Atoms, CHUNK_FEATURES, TAG_FEATURES, Tag, chunk_features, push_lower, tag_features, tag_from};

const EPOCHS: usize = 5;
const ROWS: usize = 1 << 14;

struct Sentence {
    atoms: Vec<Atoms>,
    tags: Vec<u8>,
    places: Vec<u8>,
}

fn main() {
    let mut arguments = env::args().skip(1);
    let target = arguments.next().unwrap();
    let (mut train, mut held_out) = (Vec::new(), Vec::new());
    for file in arguments {
        let file = fs::read_to_string(file).unwrap();
        for (at, block) in file.split("\n\n").filter(|block| !block.trim().is_empty()).enumerate() {
            if at % 25 == 0 { &mut held_out } else { &mut train }.push(read(block));
        }
    }
    println!("{} sentences, {} held out", train.len(), held_out.len());

    let features = |s: &Sentence, _: &[Tag], before: &[u8], at: usize| {
        let mut features = [0; TAG_FEATURES];
        tag_features(&s.atoms, before, at, &mut features);
        features.to_vec()
    };
    let tagger = fit::<32>(&train, &held_out, &|_| Vec::new(), &features, &|s| &s.tags);
    fs::write(format!("{target}/tags.bin"), tagger.bytes()).unwrap();

    let tags_of = |s: &Sentence| {
        let tags = tagger.label(s, &[], &features);
        tags.into_iter().map(tag_from).collect()
    };
    let features = |s: &Sentence, tags: &[Tag], before: &[u8], at: usize| {
        let mut features = [0; CHUNK_FEATURES];
        chunk_features(&s.atoms, tags, before, at, &mut features);
        features.to_vec()
    };
    let chunker = fit::<8>(&train, &held_out, &tags_of, &features, &|s| &s.places);
    fs::write(format!("{target}/places.bin"), chunker.bytes()).unwrap();
}

/// Reads the lines of one sentence: word, number of the tag, number of the place.
fn read(block: &str) -> Sentence {
    let rows: Vec<Vec<&str>> = block.trim().lines().map(|line| line.split('\t').collect()).collect();
    let cased = rows.iter().any(|row| row[0].chars().any(char::is_uppercase));
    let numbers = |column: usize| rows.iter().map(|row| row[column].parse().unwrap()).collect::<Vec<u8>>();
    let (tags, places) = (numbers(1), numbers(2));
    let atoms = rows.iter().zip(&tags).map(|(row, tag)| {
        let mut lower = String::new();
        push_lower(&mut lower, row[0]);
        Atoms::new(row[0], &lower, cased, *tag == 0)
    });
    Sentence { atoms: atoms.collect(), tags, places }
}

type Features<'v> = &'v dyn Fn(&Sentence, &[Tag], &[u8], usize) -> Vec<u32>;

fn fit<const ROW: usize>(
    train: &[Sentence],
    held_out: &[Sentence],
    tags_of: &dyn Fn(&Sentence) -> Vec<Tag>,
    features_of: Features,
    gold: &dyn Fn(&Sentence) -> &Vec<u8>,
) -> Perceptron<ROW> {
    let mut order: Vec<usize> = (0..train.len()).collect();
    let mut random = 88_172_645_463_325_252u64;
    let mut round = |model: &mut Perceptron<ROW>| {
        for epoch in 0..EPOCHS {
            for at in (1..order.len()).rev() {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                order.swap(at, (random % (at as u64 + 1)) as usize);
            }
            for sentence in order.iter().map(|at| &train[*at]) {
                let tags = tags_of(sentence);
                let mut before = Vec::new();
                for (at, atom) in sentence.atoms.iter().enumerate() {
                    if atom.is_space {
                        before.push(gold(sentence)[at]);
                        continue;
                    }
                    let features = features_of(sentence, &tags, &before, at);
                    before.push(model.learn(&features, gold(sentence)[at], epoch == 0));
                }
            }
        }
        model.average();
    };
    let mut all = Perceptron::<ROW>::default();
    round(&mut all);
    let mut kept = Perceptron::<ROW> { checks: all.select(), ..Perceptron::default() };
    kept.rows = vec![Row::default(); ROWS];
    round(&mut kept);

    let (mut right, mut count) = (0, 0);
    for sentence in held_out {
        let given = kept.label(sentence, &tags_of(sentence), features_of);
        right += given.iter().zip(gold(sentence)).filter(|(given, gold)| given == gold).count();
        count += given.len();
    }
    println!("{ROW}: {:.4} of {count} labels right", right as f64 / count as f64);
    kept
}

/// An averaged perceptron: either open, with a row for every feature of the training data, or with the selected rows only.
#[derive(Default)]
struct Perceptron<const ROW: usize> {
    /// Rows of features by hash, while open.
    open: HashMap<u32, usize>,
    /// Check bytes of the selected rows; empty while open.
    checks: Vec<u8>,
    rows: Vec<Row<ROW>>,
    step: f32,
}

#[derive(Clone)]
struct Row<const ROW: usize> {
    weights: [f32; ROW],
    /// Sums of the weights over all steps up to `changed`.
    sums: [f32; ROW],
    changed: [f32; ROW],
    seen: f32,
}

impl<const ROW: usize> Default for Row<ROW> {
    fn default() -> Self {
        Row { weights: [0.; ROW], sums: [0.; ROW], changed: [0.; ROW], seen: 0. }
    }
}

fn slot(checks: &[u8], hash: u32) -> Option<usize> {
    let at = hash as usize & (ROWS - 1);
    let check = ((hash >> 24) as u8).max(1);
    [at, at ^ 1].into_iter().find(|at| checks[*at] == check)
}

impl<const ROW: usize> Perceptron<ROW> {
    fn row(&self, hash: u32) -> Option<usize> {
        if self.checks.is_empty() { self.open.get(&hash).copied() } else { slot(&self.checks, hash) }
    }

    fn best(&self, features: &[u32]) -> u8 {
        let mut sums = [0f32; ROW];
        for row in features.iter().filter_map(|hash| self.row(*hash)) {
            sums.iter_mut().zip(&self.rows[row].weights).for_each(|(sum, weight)| *sum += weight);
        }
        (2..ROW).fold(1, |best, label| if sums[label] > sums[best] { label } else { best }) as u8
    }

    fn label(&self, sentence: &Sentence, tags: &[Tag], features_of: Features) -> Vec<u8> {
        let mut labels = Vec::new();
        for (at, atom) in sentence.atoms.iter().enumerate() {
            let space = u8::from(ROW == 8);
            labels.push(if atom.is_space { space } else { self.best(&features_of(sentence, tags, &labels, at)) });
        }
        labels
    }

    fn learn(&mut self, features: &[u32], gold: u8, is_first_epoch: bool) -> u8 {
        self.step += 1.;
        let given = self.best(features);
        for hash in features {
            if given != gold && self.checks.is_empty() && !self.open.contains_key(hash) {
                self.open.insert(*hash, self.rows.len());
                self.rows.push(Row::default());
            }
            let Some(row) = self.row(*hash) else { continue };
            let row = &mut self.rows[row];
            row.seen += f32::from(u8::from(is_first_epoch));
            if given != gold {
                for (label, change) in [(usize::from(gold), 1.), (usize::from(given), -1.)] {
                    row.sums[label] += (self.step - row.changed[label]) * row.weights[label];
                    row.changed[label] = self.step;
                    row.weights[label] += change;
                }
            }
        }
        given
    }

    fn average(&mut self) {
        for row in &mut self.rows {
            for label in 0..ROW {
                row.sums[label] += (self.step - row.changed[label]) * row.weights[label];
                row.changed[label] = self.step;
                row.weights[label] = row.sums[label] / self.step;
            }
        }
    }

    /// Selects the features with the largest weights, weighted by their frequency, and returns their check bytes.
    fn select(&self) -> Vec<u8> {
        let worth = |row: &Row<ROW>| {
            row.weights.iter().map(|weight| weight * weight).sum::<f32>().sqrt() * row.seen.max(1.).sqrt()
        };
        let mut features: Vec<(f32, u32)> =
            self.open.iter().map(|(hash, row)| (worth(&self.rows[*row]), *hash)).collect();
        features.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut checks = vec![0; ROWS];
        for (_, hash) in features {
            let at = hash as usize & (ROWS - 1);
            if slot(&checks, hash).is_none()
                && let Some(free) = [at, at ^ 1].into_iter().find(|at| checks[*at] == 0)
            {
                checks[free] = ((hash >> 24) as u8).max(1);
            }
        }
        checks
    }

    /// The rows in the format of the library; the few largest weights are clipped.
    fn bytes(&self) -> Vec<u8> {
        let mut sizes: Vec<f32> = self.rows.iter().flat_map(|row| row.weights).map(f32::abs).collect();
        sizes.sort_by(f32::total_cmp);
        let scale = 127. / sizes[sizes.len() - 1 - sizes.len() / 5000].max(1.);
        let mut bytes = Vec::new();
        for (row, check) in self.rows.iter().zip(&self.checks) {
            bytes.push(*check);
            let weights = &row.weights[1..];
            bytes.extend(weights.iter().map(|weight| ((weight * scale).round().clamp(-127., 127.) as i8) as u8));
        }
        bytes
    }
}
