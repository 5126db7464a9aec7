//! The cells that a token sees, in blocks.

use super::lanes::Lanes;

/// Seen cells that are scored before their values are summed.
pub(super) const BLOCK: usize = 64;
/// Numbers of a mask that are looked at together.
const STEP: usize = 16;
/// f16's minus infinity: the token does not see the cell.
const HIDDEN: u16 = 0xfc00;

/// The next cells that a token sees.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) count: usize,
    /// `count` of them.
    cells: [u32; BLOCK],
    /// What to add to their scores; after the last cell minus infinity.
    pub(super) bias: [f32; BLOCK],
}

impl Block {
    pub(super) const EMPTY: Block = Block {
        count: 0,
        cells: [0; BLOCK],
        bias: [f32::NEG_INFINITY; BLOCK],
    };

    /// The cells' numbers.
    pub(super) fn seen(&self) -> &[u32] {
        &self.cells[..self.count]
    }

    /// Whether both blocks have the same cells.
    pub(super) fn is_of(&self, other: &Block) -> bool {
        self.seen() == other.seen()
    }

    fn push(&mut self, cell: usize, bias: f32) {
        // A cache has fewer cells than 2^32.
        self.cells[self.count] = cell as u32;
        self.bias[self.count] = bias;
        self.count += 1;
    }
}

/// A token's way through its mask.
#[derive(Clone, Copy)]
pub(super) struct Scan {
    mask: *const u16,
    cells: usize,
    next: usize,
}

impl Scan {
    /// The way through `mask`, which has `cells` numbers; null if the token sees every cell.
    pub(super) fn new(mask: *const u16, cells: usize) -> Self {
        Self { mask, cells, next: 0 }
    }

    /// Makes `block` the next [`BLOCK`] cells that the token sees, or as many as are left.
    ///
    /// # Safety
    /// The mask has its numbers; otherwise as [`Lanes`].
    #[inline(always)]
    pub(super) unsafe fn fill<L: Lanes>(&mut self, block: &mut Block) {
        block.count = 0;
        while block.count < BLOCK && self.next < self.cells {
            // SAFETY: `next` is below the number of cells.
            unsafe {
                if !self.step(block) {
                    let bits = self.at(self.next);
                    if bits != HIDDEN {
                        block.push(self.next, L::half(bits));
                    }
                    self.next += 1;
                }
            }
        }
        block.bias[block.count..].fill(f32::NEG_INFINITY);
    }

    /// Takes [`STEP`] cells if all of them are seen without a bias or all are hidden.
    ///
    /// # Safety
    /// The mask has its numbers.
    #[inline(always)]
    unsafe fn step(&mut self, block: &mut Block) -> bool {
        if self.next + STEP > self.cells {
            return false;
        }
        let mut bits = [0u16; STEP];
        if !self.mask.is_null() {
            // SAFETY: `STEP` numbers are left.
            bits = unsafe { self.mask.add(self.next).cast::<[u16; STEP]>().read() };
        }
        let all = |value: u16| bits.iter().fold(0, |odd, bits| odd | (bits ^ value)) == 0;
        let seen = block.count + STEP <= BLOCK && all(0);
        if seen {
            let places = block.count..block.count + STEP;
            for (cell, place) in (self.next as u32..).zip(&mut block.cells[places.clone()]) {
                *place = cell;
            }
            block.bias[places].fill(0.0);
            block.count += STEP;
        }
        let taken = seen || all(HIDDEN);
        self.next += if taken { STEP } else { 0 };
        taken
    }

    /// # Safety
    /// The mask has a number for `cell`.
    unsafe fn at(&self, cell: usize) -> u16 {
        if self.mask.is_null() {
            return 0;
        }
        // SAFETY: the caller's promise.
        unsafe { *self.mask.add(cell) }
    }
}
