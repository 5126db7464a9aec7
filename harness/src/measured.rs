//! What a case gave, before it is made into results.

use super::peer::PeerTurn;
use super::protocol::Turn;
use super::result::Heat;

/// What one case gave, a turn a round.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) turns: Vec<Turn>,
    pub(super) kernels: Option<String>,
    pub(super) heat: Option<Heat>,
    pub(super) peer: Vec<PeerTurn>,
}
