//! What a user should know before a model runs, one line each.

use siskin::Notice;

use crate::render::text;

/// Prints to stderr.
pub(crate) fn print(notices: &[Notice]) {
    for notice in notices {
        match notice {
            // A newer siskin's file is not replaced.
            Notice::TunedStore(store) if !store.newer => {
                say!("siskin: {}; siskin tune writes a new one", line(notice));
            }
            notice => say!("siskin: {}", line(notice)),
        }
    }
}

/// Prints what a user should know about the model's vocabulary.
pub(crate) fn print_vocabulary(model: &siskin::Model) {
    print(&Vec::from_iter(model.notice()));
}

/// Names in it may come from files and folders.
fn line(notice: &Notice) -> String {
    text::escaped(&notice.to_string().replace('\n', " "))
}
