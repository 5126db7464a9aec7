//! What a store remembers of itself: the bytes it wrote, and how often entries were used.

use super::budget::WriteBudget;
use super::manifest::{EntryId, Fields, Flaw, seal, unseal};

const MAGIC: &[u8; 8] = b"SISKLEDG";
const FORMAT: u32 = 1;
/// The most bytes of a ledger.
pub(super) const MAX_BYTES: u64 = 1 << 17;

/// How an entry was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) id: EntryId,
    pub(super) hits: u32,
    /// Unix seconds.
    pub(super) used: u64,
}

pub(super) fn encode(budget: &WriteBudget, uses: &[Use]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256 + 28 * uses.len());
    bytes.extend(MAGIC);
    bytes.extend(FORMAT.to_le_bytes());
    budget.encode(&mut bytes);
    for entry in uses {
        bytes.extend(entry.id.to_bytes());
        bytes.extend(entry.hits.to_le_bytes());
        bytes.extend(entry.used.to_le_bytes());
    }
    seal(bytes)
}

pub(super) fn decode(bytes: &[u8], daily: u64) -> Result<(WriteBudget, Vec<Use>), Flaw> {
    let mut fields = Fields(unseal(bytes).ok_or(Flaw::Damaged)?);
    if fields.take::<8>()? != *MAGIC {
        return Err(Flaw::Damaged);
    }
    if fields.u32()? != FORMAT {
        return Err(Flaw::Format);
    }
    let budget = WriteBudget::decode(&mut fields, daily)?;
    let mut uses = Vec::new();
    while !fields.0.is_empty() {
        uses.push(Use {
            id: EntryId::from_bytes(fields.take()?),
            hits: fields.u32()?,
            used: fields.u64()?,
        });
    }
    Ok((budget, uses))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_comes_back_as_it_was_and_no_bit_of_it_can_be_another() {
        let mut budget = WriteBudget::new(1000);
        budget.charge(700, 1_700_000_000);
        let uses: Vec<Use> = (0..3)
            .map(|n| Use {
                id: EntryId::from_bytes([n; 16]),
                hits: u32::from(n),
                used: 5,
            })
            .collect();
        let whole = encode(&budget, &uses);
        assert_eq!(decode(&whole, 1000), Ok((budget.clone(), uses)));
        // What was written stays; what may be written is the setting's.
        let (other, _) = decode(&whole, 800).expect("a ledger");
        assert_eq!(
            (budget.left(1_700_000_000), other.left(1_700_000_000)),
            (300, 100)
        );
        for len in 0..whole.len() {
            assert!(decode(&whole[..len], 1000).is_err(), "{len}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(decode(&flipped, 1000).is_err(), "{at}");
        }
        // Half an entry, with a digest that is right.
        let half = seal(whole[..whole.len() - 32 - 9].to_vec());
        assert_eq!(decode(&half, 1000), Err(Flaw::Damaged));
    }
}
