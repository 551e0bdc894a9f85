//! Search: ranks the memories that answer a question, best first, and explains the ranking on request.

mod answer;
mod fusion;
mod mem0;
mod query;
mod question_vectors;
mod request;
mod rerank;
mod superseded;
mod terms;

use mnemon_store::{MemoryId, Search, View, run_search};

pub use answer::{Explanation, Ranking, SearchAnswer, SearchHit, Signal, SignalKind};
pub use mem0::{Mem0Query, Mem0Score};
pub use request::{Profile, SearchRequest};
pub use rerank::LlmReranker;

use crate::engine::Engine;
use crate::error::Result;
use crate::time::today;
use question_vectors::QuestionVectors;
use request::MAX_TOP_K;
use superseded::Superseded;

impl Engine {
    /// Finds the memories that answer a question, best first.
    ///
    /// # Errors
    /// [`EngineError::Invalid`](crate::EngineError::Invalid) for a blank question, a filter that names none of the scope
    /// ids or two different values of one, `top_k` outside 1 ..= 1000, or a threshold outside 0 ..= 1.
    pub fn search(&self, request: &SearchRequest) -> Result<SearchAnswer> {
        let request = &SearchRequest { filter: self.stored_filter(&request.filter)?, ..request.clone() };
        request.check()?;
        let reranker = self.model_services.reranker.as_deref().filter(|_| request.rerank);
        // The reranker may move lower hits to the top, and the current versions of superseded facts may rank lower.
        let depth = match reranker {
            Some(_) => rerank::DEPTH,
            None if request.latest_only => 2 * request.top_k,
            None => 0,
        };
        let mut deep = SearchRequest { top_k: request.top_k.max(depth).min(MAX_TOP_K), ..request.clone() };
        let embedded = QuestionVectors::new(self);
        let view = View::new(&request.filter, (!request.show_expired).then(today)).with_ids(request.ids.as_deref());
        let (mut answer, superseded) = loop {
            let answer = run_search(self.store(), view, |reads| self.rank(&deep, reads, &embedded))?;
            // The profile of mem0 has its order and its scores.
            if request.profile == Profile::Mem0 && !request.latest_only {
                break (answer, None);
            }
            let superseded = Superseded::of(self.store(), request, &answer)?;
            let is_complete = answer.hits.len() < deep.top_k || deep.top_k == MAX_TOP_K;
            if !request.latest_only || is_complete || superseded.current(&answer) >= request.top_k {
                break (answer, Some(superseded));
            }
            // Superseded facts take up the places of others.
            deep.top_k = (4 * deep.top_k).min(MAX_TOP_K);
        };
        if let Some(reranker) = reranker {
            rerank::rerank(reranker, &request.query, &mut answer);
        }
        if let Some(superseded) = superseded {
            superseded.prefer_current(request, &mut answer);
        }
        answer.hits.truncate(request.top_k);
        Ok(answer)
    }

    /// The scores of mem0 v2.0.2, best first. Candidates are the dense hits whose cosine is at least `threshold`. The score
    /// is min((cosine + bm25 + boost) / max, 1), where max is 1, plus 1 if any hit has a BM25 score, plus ½ if any has a
    /// boost.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn mem0_scores(
        &self,
        view: &View<'_>,
        query: &Mem0Query,
        top_k: usize,
        threshold: f32,
    ) -> Result<Vec<Mem0Score>> {
        let config = &self.config.mem0;
        run_search(self.store(), *view, |reads| {
            mem0::scores(self.store(), reads, config, view.filter, query, top_k, threshold)
        })
    }

    fn rank(
        &self,
        request: &SearchRequest,
        reads: &dyn Search,
        embedded: &QuestionVectors<'_>,
    ) -> Result<SearchAnswer> {
        let (ranked, ranking) = match request.profile {
            Profile::Fusion => fusion::rank(self, request, reads, embedded)?,
            Profile::Mem0 => (mem0::rank(self, request, reads, embedded)?, Ranking::Mem0),
        };
        let ids: Vec<MemoryId> = ranked.iter().map(|hit| hit.id).collect();
        let memories = self.store.get(&ids)?;
        // A memory may have been deleted, or its owner changed, since it was ranked.
        let hits = ranked.into_iter().zip(memories).filter_map(|(hit, memory)| {
            let memory = memory.filter(|memory| memory.matches(&request.filter))?;
            Some(SearchHit::new(memory, hit.score, hit.explanation))
        });
        Ok(SearchAnswer { hits: hits.collect(), ranking, reranked: false })
    }
}
