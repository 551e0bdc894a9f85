//! Progress reports of the phases.

/// Called with the name of the current step, the number of points or entities done, and their total.
pub type Progress<'p> = dyn Fn(&'static str, usize, u64) + Sync + 'p;

/// The step that counts entities. All other steps count points.
pub const ENTITIES_STEP: &str = "entities";
