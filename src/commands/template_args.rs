//! The flags of an answer's frame, shared by the commands that answer: system prompt and chat template.

use std::path::PathBuf;

use anyhow::Context;
use siskin::Model;
use siskin::chat::{self, Template};

use crate::text_input;

/// What was typed.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TemplateArgs {
    /// System prompt: instructions for the model
    #[arg(
        long,
        visible_alias = "system-prompt",
        value_name = "TEXT",
        allow_hyphen_values = true
    )]
    system: Option<String>,
    /// Read the system prompt from this file
    #[arg(long, value_name = "FILE", conflicts_with = "system")]
    system_file: Option<PathBuf>,
    /// Use the Jinja chat template in this file instead of the model's own
    #[arg(long, value_name = "FILE")]
    chat_template_file: Option<PathBuf>,
}

/// The same with the files' texts, read before the model is loaded.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// The system prompt.
    pub(crate) system: Option<String>,
    template: Option<(PathBuf, String)>,
}

impl TemplateArgs {
    /// The files that were named.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.system_file.iter().chain(&self.chat_template_file)
    }

    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn read(&self) -> anyhow::Result<Frame> {
        let system = match &self.system_file {
            Some(path) => Some(text_input::without_newline(text_input::file(path)?)),
            None => self.system.clone(),
        };
        let template = match &self.chat_template_file {
            Some(path) => Some((path.clone(), text_input::file(path)?)),
            None => None,
        };
        Ok(Frame { system, template })
    }
}

impl Frame {
    /// The template given, else the model's own, if it has one.
    ///
    /// # Errors
    /// The template cannot be compiled.
    pub(crate) fn template(&self, model: &Model) -> anyhow::Result<Option<Template>> {
        let now = chat::now();
        match &self.template {
            Some((path, source)) => chat::template_from(model, source, now)
                .map(Some)
                .with_context(|| path.display().to_string()),
            None => chat::template_of(model, now)
                .context("the model's own template cannot be used (--chat-template-file gives another)"),
        }
    }
}
