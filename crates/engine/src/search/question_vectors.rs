//! The vectors of a question, made once for a search that ranks several times.

use std::cell::RefCell;

use crate::engine::Engine;
use crate::error::Result;

/// Embeds the texts of one search. A ranking that is repeated, deeper or on newer data, finds the vectors of the last one.
pub(super) struct QuestionVectors<'e> {
    engine: &'e Engine,
    last: RefCell<(Vec<String>, Vec<Vec<f32>>)>,
}

impl<'e> QuestionVectors<'e> {
    pub(super) fn new(engine: &'e Engine) -> Self {
        Self { engine, last: RefCell::default() }
    }

    /// One vector for each text.
    pub(super) fn of(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        if self.last.borrow().0 != texts {
            let vectors = self.engine.embed(texts)?;
            self.last.replace((texts.iter().map(|&text| text.to_owned()).collect(), vectors));
        }
        Ok(self.last.borrow().1.clone())
    }
}
