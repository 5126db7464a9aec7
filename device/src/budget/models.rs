//! The models of a plan: one, or one and another that guesses for it.

use siskin_model::CacheType;
use siskin_model::shape::Shape;

use super::cost::{self, Item, items};
use crate::values::Values;

/// What runs in one process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Models<'a> {
    /// The model whose text is wanted.
    pub(super) target: &'a Shape,
    /// The model that guesses for it.
    pub(super) draft: Option<&'a Shape>,
}

/// The settings of a model that guesses for one with `settings`: the same, except for a context that it was not trained
/// for, and a cache whose blocks would cross its heads.
pub fn draft_values(draft: &Shape, settings: &Values) -> Values {
    let crosses = settings.cache_type.is_quantized() && !draft.head_dim.is_multiple_of(32);
    Values {
        context: settings.context.min(draft.training_context),
        cache_type: if crosses {
            CacheType::F16
        } else {
            settings.cache_type
        },
        ..*settings
    }
}

impl<'a> Models<'a> {
    /// The models, each with its settings.
    pub(super) fn each(self, settings: &Values) -> impl Iterator<Item = (&'a Shape, Values)> {
        let draft = self.draft.map(|draft| (draft, draft_values(draft, settings)));
        std::iter::once((self.target, *settings)).chain(draft)
    }

    /// Every part of a plan.
    pub(super) fn items(self, settings: &Values) -> Vec<Item> {
        let mut all = items(self.target, settings);
        let Some(draft) = self.draft else { return all };
        let values = draft_values(draft, settings);
        let mut own = items(draft, &values).into_iter().filter_map(of_draft);
        // After the target's parts, before those that both share.
        let shared = all.iter().position(|item| of_draft(item.clone()).is_none());
        let at = shared.unwrap_or(all.len());
        all.splice(at..at, own.by_ref());
        all
    }

    /// Everything that `settings` take, in bytes.
    pub(super) fn total(self, settings: &Values) -> u64 {
        let items = self.items(settings);
        items.iter().fold(0, |sum, item| sum.saturating_add(item.bytes))
    }

    /// Private memory that `settings` have the system promise, resident or not: buffers are as large as the largest
    /// batch may need, and so are stacks.
    pub(super) fn promised(self, settings: &Values) -> u64 {
        let all = self.total(settings).saturating_add(cost::stacks(settings));
        self.each(settings).fold(all, |sum, (shape, values)| {
            sum.saturating_add(cost::row_of_logits_each(shape, &values))
                .saturating_sub(cost::mapped(shape, &values))
        })
    }

    /// Addresses that `settings` need: what is promised, and the mapped files.
    pub(super) fn addresses(self, settings: &Values) -> u64 {
        let files = self
            .each(settings)
            .filter(|(_, values)| values.mmap)
            .map(|(shape, _)| cost::file(shape));
        files.fold(self.promised(settings), u64::saturating_add)
    }
}

/// A part of a model as that of the draft; `None` for what both share.
fn of_draft(item: Item) -> Option<Item> {
    const NAMES: [(&str, &str); 9] = [
        ("weights", "draft weights"),
        ("rest of the file", "draft file rest"),
        ("repacked copy", "draft repacked"),
        ("KV cache", "draft KV cache"),
        ("compute buffers", "draft compute"),
        ("output buffers", "draft output"),
        ("vocabulary", "draft vocabulary"),
        ("reading the file", "draft reading"),
        ("graphs", "draft graphs"),
    ];
    let (_, what) = NAMES.iter().find(|(name, _)| *name == item.what)?;
    Some(Item { what, ..item })
}
