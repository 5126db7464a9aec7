//! What a user should know before a model runs, one line each.

use siskin::Notice;

/// Prints to stderr.
pub(crate) fn print(notices: &[Notice]) {
    for notice in notices {
        match notice {
            Notice::TunedStore(_) => say!("siskin: {notice}; siskin tune writes a new one"),
            notice => say!("siskin: {notice}"),
        }
    }
}

/// Prints what a user should know about the model's vocabulary.
pub(crate) fn print_vocabulary(model: &siskin::Model) {
    print(&Vec::from_iter(model.notice()));
}
