//! What users see: sizes, tables, progress, colours, and text from strangers made harmless.

pub(crate) mod explain;
pub(crate) mod plan_table;
pub(crate) mod progress;
pub(crate) mod size;
pub(crate) mod style;
pub(crate) mod text;
