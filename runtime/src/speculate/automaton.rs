//! A suffix automaton over tokens: every string of a text is a path in it, and the longest end of the text that
//! occurred before is always at hand.
//!
//! It is built online (Blumer et al. 1985): a token costs a constant number of steps on average, whatever the text.
//! A state is a set of strings that end at the same positions; its link leads to the longest end of them that also ends
//! elsewhere. Beside what the construction needs, an edge knows how often its token followed the strings of its state
//! and when last, and a state knows its best edge.
//!
//! To count a token, it is counted in every state that is an end of the text before it. In text like `aaaa…` there are
//! as many of them as tokens, so the walk ends after [`WALK`] states: the longest ends are counted exactly, shorter ones
//! then too low.
//!
//! A text of n tokens has at most 2n states of 16 bytes, 3n edges of 24 bytes, and 4 bytes for every 0.75 edges
//! (rounded up to a power of two): [`BYTES_PER_TOKEN`] if it is full, at most. Tokens as frequent as words take less than
//! three quarters of that.

use crate::engine::Token;

/// States in which a token is counted.
pub(super) const WALK: usize = 64;

/// Bytes that a token takes at most in an automaton that is full, if its limit is a power of two.
pub(super) const BYTES_PER_TOKEN: usize = 2 * 16 + 3 * 24 + 4 * 4;

/// No state, no edge.
const NONE: u32 = u32::MAX;

/// A state of the automaton.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State(u32);

/// What followed the strings of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Continuation {
    pub(super) token: Token,
    /// How often.
    pub(super) count: u32,
    /// The latest position of the token, from 0.
    pub(super) last: u32,
    /// Where the token leads.
    pub(super) to: State,
    /// No other token ever followed.
    pub(super) alone: bool,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    /// Tokens of its longest string.
    len: u32,
    link: u32,
    /// The newest of its edges.
    head: u32,
    /// The edge with the highest count, the most recent of equals.
    best: u32,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    from: u32,
    token: i32,
    to: u32,
    count: u32,
    last: u32,
    /// Another edge of the same state.
    next: u32,
}

/// The automaton of a text that grows at its end.
#[derive(Debug)]
pub(super) struct Automaton {
    /// Tokens that it may have.
    most: usize,
    tokens: usize,
    /// The state of the whole text.
    last: u32,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    /// Edges by state and token, open addressing: a number in `edges`. A power of two of them.
    slots: Vec<u32>,
}

impl Automaton {
    /// The automaton of no text, for at most `most` tokens.
    pub(super) fn new(most: usize) -> Self {
        let root = Node {
            len: 0,
            link: NONE,
            head: NONE,
            best: NONE,
        };
        Automaton {
            most,
            tokens: 0,
            last: 0,
            nodes: vec![root],
            edges: Vec::new(),
            slots: vec![NONE; 64],
        }
    }

    /// As new; memory is kept.
    pub(super) fn clear(&mut self) {
        self.tokens = 0;
        self.last = 0;
        self.nodes.truncate(1);
        (self.nodes[0].head, self.nodes[0].best) = (NONE, NONE);
        self.edges.clear();
        self.slots.fill(NONE);
    }

    /// Tokens of the text.
    #[cfg(test)]
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.edges.capacity() * size_of::<Edge>()
            + self.slots.capacity() * size_of::<u32>()
    }

    /// The longest end of the text that occurred earlier. Nothing: the first state, of length 0.
    pub(super) fn longest(&self) -> State {
        self.fallback(State(self.last)).unwrap_or(State(0))
    }

    /// Tokens of the longest string of a state.
    pub(super) fn len(&self, state: State) -> u32 {
        self.nodes[state.0 as usize].len
    }

    /// The longest end of a state's strings that occurs elsewhere too.
    fn fallback(&self, state: State) -> Option<State> {
        let link = self.nodes[state.0 as usize].link;
        (link != NONE).then_some(State(link))
    }

    /// What followed most often, the most recent of equals.
    pub(super) fn best(&self, state: State) -> Option<Continuation> {
        let best = self.nodes[state.0 as usize].best;
        (best != NONE).then(|| self.continuation(best))
    }

    /// Everything that followed a state, in no order.
    #[cfg(test)]
    pub(super) fn continuations(&self, state: State) -> impl Iterator<Item = Continuation> {
        self.edges_of(state.0).map(|edge| self.continuation(edge))
    }

    /// Appends a token to the text. Does nothing if the automaton is full.
    pub(super) fn append(&mut self, token: Token) {
        if self.tokens >= self.most {
            return;
        }
        let position = self.tokens as u32;
        self.tokens += 1;
        let whole = self.add_node(self.tokens as u32);
        let mut state = self.last;
        self.last = whole;
        let mut walked = 0;
        // Ends of the text that this token never followed.
        let known = loop {
            if state == NONE {
                break None;
            }
            if let Some(edge) = self.find(state, token) {
                break Some(edge);
            }
            self.add_edge(Edge {
                from: state,
                token: token.0,
                to: whole,
                count: 1,
                last: position,
                next: NONE,
            });
            state = self.nodes[state as usize].link;
            walked += 1;
        };
        self.nodes[whole as usize].link = match known {
            None => 0,
            Some(edge) => self.target_of_length(state, edge),
        };
        // Ends that it followed before; the edges of the first walk count in the bound.
        while state != NONE && walked < WALK {
            self.count(state, token, position);
            state = self.nodes[state as usize].link;
            walked += 1;
        }
    }

    /// The state that an edge of `state` leads to, if need be split so that its longest string is that of `state` and
    /// the token.
    fn target_of_length(&mut self, mut state: u32, edge: u32) -> u32 {
        let token = Token(self.edges[edge as usize].token);
        let target = self.edges[edge as usize].to;
        let len = self.nodes[state as usize].len + 1;
        if self.nodes[target as usize].len == len {
            return target;
        }
        let clone = self.add_node(len);
        self.copy_edges(target, clone);
        self.nodes[clone as usize].link = self.nodes[target as usize].link;
        self.nodes[target as usize].link = clone;
        while state != NONE {
            match self.find(state, token) {
                Some(edge) if self.edges[edge as usize].to == target => {
                    self.edges[edge as usize].to = clone;
                }
                _ => break,
            }
            state = self.nodes[state as usize].link;
        }
        clone
    }

    /// A shorter string was followed by the same tokens at the same positions so far.
    fn copy_edges(&mut self, from: u32, to: u32) {
        let mut edge = self.nodes[from as usize].head;
        while edge != NONE {
            let copied = self.edges[edge as usize];
            self.add_edge(Edge { from: to, ..copied });
            edge = copied.next;
        }
        if let Some(best) = self.best(State(from)) {
            self.nodes[to as usize].best = self.find(to, best.token).unwrap_or(NONE);
        }
    }

    fn count(&mut self, state: u32, token: Token, position: u32) {
        let Some(number) = self.find(state, token) else {
            return;
        };
        let edge = &mut self.edges[number as usize];
        edge.count += 1;
        edge.last = position;
        self.prefer(state, number);
    }

    /// An edge that was counted just now is the best one if no other was counted more often.
    fn prefer(&mut self, state: u32, edge: u32) {
        let best = self.nodes[state as usize].best;
        if best == NONE || self.edges[best as usize].count <= self.edges[edge as usize].count {
            self.nodes[state as usize].best = edge;
        }
    }

    fn add_node(&mut self, len: u32) -> u32 {
        let number = self.nodes.len() as u32;
        grow(&mut self.nodes, 2 * self.most);
        self.nodes.push(Node {
            len,
            link: NONE,
            head: NONE,
            best: NONE,
        });
        number
    }

    fn add_edge(&mut self, edge: Edge) -> u32 {
        let number = self.edges.len() as u32;
        grow(&mut self.edges, 3 * self.most);
        let node = &mut self.nodes[edge.from as usize];
        self.edges.push(Edge {
            next: node.head,
            ..edge
        });
        node.head = number;
        if self.edges.len() * 4 > self.slots.len() * 3 {
            self.rehash(self.slots.len() * 2);
        } else {
            self.put(number);
        }
        self.prefer(edge.from, number);
        number
    }

    fn rehash(&mut self, slots: usize) {
        self.slots.clear();
        self.slots.reserve_exact(slots);
        self.slots.resize(slots, NONE);
        (0..self.edges.len() as u32).for_each(|edge| self.put(edge));
    }

    fn put(&mut self, edge: u32) {
        let Edge { from, token, .. } = self.edges[edge as usize];
        let mut slot = self.first_slot(from, token);
        while self.slots[slot] != NONE {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.slots[slot] = edge;
    }

    fn find(&self, from: u32, token: Token) -> Option<u32> {
        let mut slot = self.first_slot(from, token.0);
        loop {
            let edge = self.slots[slot];
            if edge == NONE {
                return None;
            }
            let found = &self.edges[edge as usize];
            if (found.from, found.token) == (from, token.0) {
                return Some(edge);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    fn first_slot(&self, from: u32, token: i32) -> usize {
        let key = u64::from(from) << 32 | u64::from(token as u32);
        // Fibonacci hashing (Knuth, volume 3, 6.4), once more for what the first product leaves alike.
        let mixed = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 32) as usize & (self.slots.len() - 1)
    }

    #[cfg(test)]
    fn edges_of(&self, state: u32) -> impl Iterator<Item = u32> {
        let first = self.nodes[state as usize].head;
        let next = |&edge: &u32| Some(self.edges[edge as usize].next).filter(|&next| next != NONE);
        std::iter::successors(Some(first).filter(|&first| first != NONE), next)
    }

    fn continuation(&self, number: u32) -> Continuation {
        let edge = &self.edges[number as usize];
        let head = self.nodes[edge.from as usize].head;
        Continuation {
            token: Token(edge.token),
            count: edge.count,
            last: edge.last,
            to: State(edge.to),
            alone: self.edges[head as usize].next == NONE,
        }
    }
}

/// Makes room for one more. Doubling would leave up to half of the memory unused; so an eighth is added, and not more
/// than there can be.
fn grow<T>(list: &mut Vec<T>, most: usize) {
    if list.len() == list.capacity() {
        let more = (list.len() / 8).max(64);
        let room = most.saturating_sub(list.len()).max(1);
        list.reserve_exact(more.min(room));
    }
}

#[cfg(test)]
mod tests;
