//! The properties of all-MiniLM-L6-v2: its name, its shape and its special pieces.

/// The model's name, as its publisher writes it.
pub(super) const NAME: &str = "all-MiniLM-L6-v2";
/// Files of the model, under the names with which it is published.
pub(super) const FILES: [&str; 3] = ["config.json", "model.safetensors", "vocab.txt"];
/// The length of its vectors.
pub(super) const DIMS: usize = 384;
/// Its number of layers.
pub(super) const LAYERS: usize = 6;
/// Maximum number of word pieces, with `[CLS]` and `[SEP]`: `max_seq_length` in its `sentence_bert_config.json`.
pub(super) const MAX_PIECES: usize = 256;
pub(super) const CLS: u16 = 101;
pub(super) const SEP: u16 = 102;
pub(super) const PAD: u16 = 0;
/// The beginning of the vector of "hello", which identifies the model.
pub(super) const HELLO: [f32; 4] = [-0.062772, 0.054959, 0.052165, 0.085790];
