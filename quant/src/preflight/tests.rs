//! A model that passes, and every way to spoil it.
use super::*;
