//! What an endpoint accepts, learned from its refusals and kept for the life of the process.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::pieces::size;

/// A part of the request that an endpoint may not support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feature {
    /// The parameter `encoding_format`.
    EncodingFormat,
    /// The parameter `dimensions`.
    Dimensions,
    /// A list of texts; without it, a text is sent alone and not in a list.
    List,
}

impl Feature {
    /// In the order in which they are given up if an endpoint names none.
    pub(super) const ALL: [Self; 3] = [Self::EncodingFormat, Self::Dimensions, Self::List];

    /// Its key in the request.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::EncodingFormat => "encoding_format",
            Self::Dimensions => "dimensions",
            Self::List => "input",
        }
    }
}

/// A learned limit is never smaller: a shorter text is refused for another reason than its length.
const MIN_SIZE: usize = 256;

/// What an endpoint accepts. Limits only fall, so that concurrent requests can learn without a lock.
#[derive(Debug)]
pub(super) struct Learned {
    /// Texts in a request.
    texts: AtomicUsize,
    /// Size of all texts of a request together, see [`size`].
    total: AtomicUsize,
    /// Size of one text.
    size: AtomicUsize,
    without: [AtomicBool; Feature::ALL.len()],
}

impl Default for Learned {
    fn default() -> Self {
        let [texts, total, size] = std::array::from_fn(|_| AtomicUsize::new(usize::MAX));
        Self { texts, total, size, without: Default::default() }
    }
}

impl Learned {
    /// Whether a text may be sent as one piece.
    pub(super) fn fits(&self, text: &str) -> bool {
        size(text) <= self.size.load(Ordering::Relaxed)
    }

    /// Whether texts may be sent in one request.
    pub(super) fn fit_together(&self, texts: &[&str]) -> bool {
        let total: usize = texts.iter().map(|text| size(text)).sum();
        texts.len() <= self.texts.load(Ordering::Relaxed) && total <= self.total.load(Ordering::Relaxed)
    }

    /// A request may have so many texts at most. Returns whether that is new.
    pub(super) fn limit_texts(&self, texts: usize) -> bool {
        self.texts.fetch_min(texts.max(1), Ordering::Relaxed) > texts
    }

    /// All texts of a request together may have this size at most. Returns whether that is new.
    pub(super) fn limit_total(&self, total: usize) -> bool {
        let total = total.max(MIN_SIZE);
        self.total.fetch_min(total, Ordering::Relaxed) > total
    }

    /// A text may have this size at most. Returns whether that is new.
    pub(super) fn limit_size(&self, size: usize) -> bool {
        let size = size.max(MIN_SIZE);
        self.size.fetch_min(size, Ordering::Relaxed) > size
    }

    /// Whether the endpoint supports a feature, as far as it is known.
    pub(super) fn supports(&self, feature: Feature) -> bool {
        !self.without[feature as usize].load(Ordering::Relaxed)
    }

    /// The endpoint does not support a feature. Returns whether that is new.
    pub(super) fn give_up(&self, feature: Feature) -> bool {
        if feature == Feature::List {
            self.limit_texts(1);
        }
        !self.without[feature as usize].swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_only_fall() {
        let learned = Learned::default();
        assert!(learned.fits("any") && learned.fit_together(&["any"; 1000]));
        assert!(learned.limit_texts(8) && !learned.limit_texts(16) && learned.limit_texts(4));
        assert!(learned.fit_together(&["a"; 4]) && !learned.fit_together(&["a"; 5]));
        assert!(learned.limit_size(1) && learned.fits(&"a".repeat(MIN_SIZE)) && !learned.fits(&"a".repeat(300)));
        assert!(learned.limit_total(900) && !learned.fit_together(&["a".repeat(500).as_str(); 2]));
        assert!(learned.supports(Feature::List) && learned.give_up(Feature::List) && !learned.give_up(Feature::List));
        assert!(!learned.fit_together(&["a"; 2]) && learned.supports(Feature::Dimensions));
    }
}
