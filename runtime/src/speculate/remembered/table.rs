//! A table of fixed size: what followed a context, by the context's hash.
//!
//! A context may be in one bucket only, of eight slots. The slots of a bucket are in the order of their last use, the
//! latest first. If a bucket is full, the slot that is worth least gives way: its count less its age in generations;
//! the one used longest ago of equals.

use crate::engine::Token;

/// Buckets of the table.
pub(super) const BUCKETS: usize = 1 << 15;

/// Slots of a bucket.
pub(super) const SLOTS: usize = 8;

/// What followed a context once or more often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// The half of the context's hash that does not choose the bucket.
    pub(super) check: u32,
    pub(super) token: u32,
    /// When it was last counted.
    pub(super) generation: u16,
    /// How often, up to 255; 0 if the slot is free. Free slots are at a bucket's end.
    pub(super) count: u8,
}

/// Where a context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) bucket: u16,
    pub(super) check: u32,
}

impl Key {
    /// Of the last tokens of a text; other numbers of them are other contexts.
    pub(super) fn of(context: &[Token]) -> Self {
        // The last step of MurmurHash3 (Appleby, public domain), once for each token.
        let mixed = context.iter().fold(context.len() as u64, |hash, token| {
            let mut hash = (hash ^ u64::from(token.0 as u32)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
            hash = (hash ^ hash >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
            hash ^ hash >> 33
        });
        Key {
            bucket: (mixed % BUCKETS as u64) as u16,
            check: (mixed >> 32) as u32,
        }
    }
}

/// Buckets that are allocated together.
const PAGE: usize = 64;

/// Some buckets; `None` as long as nothing is in them.
type Page = Option<Box<[[Slot; SLOTS]; PAGE]>>;

/// The table. Its pages take memory once something is in them: short texts touch few.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table(Vec<Page>);

impl Table {
    /// Bytes that it takes at most.
    pub(super) const BYTES: usize = BUCKETS * size_of::<[Slot; SLOTS]>() + BUCKETS / PAGE * size_of::<Page>();

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let pages = self.0.iter().flatten().count();
        pages * PAGE * size_of::<[Slot; SLOTS]>() + self.0.capacity() * size_of::<Page>()
    }

    /// What followed most often, the latest of equals, and how often.
    pub(super) fn best(&self, key: Key) -> Option<(Token, u8)> {
        let bucket = usize::from(key.bucket);
        let bucket = &self.0.get(bucket / PAGE)?.as_ref()?[bucket % PAGE];
        let known = bucket
            .iter()
            .filter(|slot| slot.count > 0 && slot.check == key.check);
        let best = known.reduce(|best, slot| if slot.count > best.count { slot } else { best })?;
        Some((Token(i32::try_from(best.token).ok()?), best.count))
    }

    /// `token` followed the context.
    pub(super) fn count(&mut self, key: Key, token: u32, generation: u16) {
        let Some(bucket) = self.bucket(key.bucket) else {
            return;
        };
        let known = |slot: &Slot| slot.count > 0 && (slot.check, slot.token) == (key.check, token);
        let (at, count) = match bucket.iter().position(known) {
            Some(at) => (at, bucket[at].count.saturating_add(1)),
            None => (least(bucket, generation), 1),
        };
        bucket[..=at].rotate_right(1);
        bucket[0] = Slot {
            check: key.check,
            token,
            generation,
            count,
        };
    }

    /// Puts a slot after the others of a bucket. False if the bucket is full.
    pub(super) fn put(&mut self, bucket: u16, slot: Slot) -> bool {
        let Some(bucket) = self.bucket(bucket) else {
            return false;
        };
        match bucket.iter_mut().find(|slot| slot.count == 0) {
            Some(free) => *free = slot,
            None => return false,
        }
        true
    }

    /// Every slot that is used, with its bucket, in order.
    pub(super) fn used(&self) -> impl Iterator<Item = (u16, &Slot)> {
        let pages = (0..).step_by(PAGE).zip(&self.0);
        let pages = pages.filter_map(|(first, page)| Some((first, page.as_ref()?)));
        pages
            .flat_map(|(first, page)| (first..).zip(page.iter()))
            .flat_map(|(number, bucket)| bucket.iter().map(move |slot| (number, slot)))
            .filter(|(_, slot)| slot.count > 0)
    }

    /// A bucket, allocated if it is not yet; `None` if there is none of that number.
    fn bucket(&mut self, number: u16) -> Option<&mut [Slot; SLOTS]> {
        let number = usize::from(number);
        if self.0.is_empty() {
            self.0 = vec![None; BUCKETS / PAGE];
        }
        let page = self.0.get_mut(number / PAGE)?;
        let page = page.get_or_insert_with(|| Box::new([[Slot::default(); SLOTS]; PAGE]));
        Some(&mut page[number % PAGE])
    }
}

/// The slot that gives way: a free one, else the last of those that are worth least.
fn least(bucket: &[Slot; SLOTS], generation: u16) -> usize {
    let worth = |slot: &Slot| u16::from(slot.count).saturating_sub(generation.wrapping_sub(slot.generation));
    let free = bucket.iter().position(|slot| slot.count == 0);
    let slots = || bucket.iter().enumerate().rev();
    free.or_else(|| Some(slots().min_by_key(|(_, slot)| worth(slot))?.0))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { bucket: 7, check: 1 };

    fn tokens(table: &Table) -> Vec<(u32, u8)> {
        table.used().map(|(_, slot)| (slot.token, slot.count)).collect()
    }

    #[test]
    fn the_best_is_what_followed_most_often_then_what_followed_last() {
        type Best = Option<(i32, u8)>;
        let cases: [(&[u32], Best); 5] = [
            (&[], None),
            (&[5], Some((5, 1))),
            (&[5, 6], Some((6, 1))),
            (&[5, 5, 6], Some((5, 2))),
            (&[5, 6, 6, 5], Some((5, 2))),
        ];
        for (followed, expected) in cases {
            let mut table = Table::default();
            followed.iter().for_each(|&token| table.count(KEY, token, 0));
            assert_eq!(
                table.best(KEY),
                expected.map(|(token, count)| (Token(token), count)),
                "{followed:?}"
            );
            assert_eq!(table.best(Key { check: 2, ..KEY }), None);
            assert_eq!(table.best(Key { bucket: 8, ..KEY }), None);
        }
    }

    #[test]
    fn counts_stay_at_their_largest() {
        let mut table = Table::default();
        (0..300).for_each(|_| table.count(KEY, 5, 0));
        assert_eq!(table.best(KEY), Some((Token(5), 255)));
    }

    #[test]
    fn the_slot_worth_least_gives_way_and_the_latest_is_first() {
        let mut table = Table::default();
        (1..=8).for_each(|token| table.count(KEY, token, 0));
        table.count(KEY, 1, 0);
        table.count(KEY, 9, 0);
        assert_eq!(
            tokens(&table),
            [(9, 1), (1, 2), (8, 1), (7, 1), (6, 1), (5, 1), (4, 1), (3, 1)]
        );
        // After two generations what was counted twice is worth no more than others.
        (3..=9).for_each(|token| table.count(KEY, token, 2));
        table.count(KEY, 10, 2);
        assert_eq!(tokens(&table)[..2], [(10, 1), (9, 2)]);
        assert!(!tokens(&table).contains(&(1, 2)));
        // Generations begin again after the last one.
        let mut table = Table::default();
        (1..=8).for_each(|token| table.count(KEY, token, u16::MAX));
        table.count(KEY, 1, 1);
        table.count(KEY, 9, 1);
        assert_eq!(tokens(&table)[..2], [(9, 1), (1, 2)]);
    }

    #[test]
    fn it_takes_its_memory_when_used_and_no_more() {
        let mut table = Table::default();
        assert_eq!((table.bytes(), table.best(KEY)), (0, None));
        for number in 0..2 * (BUCKETS * SLOTS) as i32 {
            table.count(Key::of(&[Token(number), Token(0)]), number as u32, 0);
        }
        assert_eq!(table.bytes(), Table::BYTES);
        assert!(
            table.used().count() > BUCKETS * SLOTS * 99 / 100,
            "contexts are spread"
        );
    }

    #[test]
    fn contexts_of_other_tokens_order_or_length_are_others() {
        let contexts: [&[i32]; 6] = [&[1, 2], &[2, 1], &[1, 2, 0], &[0, 1, 2], &[1, 2, 3], &[0, 0]];
        for (number, one) in contexts.iter().enumerate() {
            for other in &contexts[..number] {
                let key = |ids: &[i32]| Key::of(&ids.iter().map(|&id| Token(id)).collect::<Vec<_>>());
                assert_ne!(key(one), key(other), "{one:?} {other:?}");
            }
        }
    }
}
