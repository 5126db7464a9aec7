//! What is read from the machine while it works: heat, energy, bandwidth.

pub(super) mod bandwidth;
pub(super) mod energy;
pub(super) mod heat;
