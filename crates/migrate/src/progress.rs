//! How far a phase is.

/// Told what is being done, how many points or entities it is done with, and of how many in all.
pub type Progress<'p> = dyn Fn(&'static str, usize, u64) + Sync + 'p;

/// What progress is told of entities by; all else is told of points.
pub const ENTITIES: &str = "entities";
