//! Shows tasks getting on: a bar each on a terminal, plain lines everywhere else.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;
use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::Instant;

/// The bars, by the server that each task is about.
pub(crate) struct Board {
    terminal: Option<MultiProgress>,
    bars: HashMap<String, ProgressBar>,
    told: HashMap<String, String>,
    begun: Instant,
}

impl Board {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
        Self {
            terminal: terminal.then(MultiProgress::new),
            bars: HashMap::new(),
            told: HashMap::new(),
            begun: Instant::now(),
        }
    }

    /// Shows a task, or each child of a bulk.
    pub(crate) fn show(&mut self, task: &Value) {
        match task["children"].as_array() {
            Some(children) => children.iter().for_each(|child| self.show_one(child)),
            None => self.show_one(task),
        }
    }

    fn show_one(&mut self, task: &Value) {
        let name = task["server_name"].as_str().unwrap_or("?");
        let percent = task["progress"].as_u64().unwrap_or_default();
        let message = task["message"].as_str().unwrap_or_default();
        match &self.terminal {
            Some(terminal) => {
                let bar = self.bars.entry(name.to_owned()).or_insert_with(|| {
                    let bar = ProgressBar::new(100)
                        .with_style(style())
                        .with_prefix(name.to_owned());
                    terminal.add(bar)
                });
                bar.set_position(percent);
                bar.set_message(message.to_owned());
                if over(task) {
                    bar.abandon();
                }
            }
            None => {
                let line = format!("{percent:>3} %  {message}");
                if self.told.get(name) != Some(&line) {
                    let at = self.begun.elapsed().as_secs_f64();
                    println!("{at:>7.2} s  {name:<14}  {line}");
                    self.told.insert(name.to_owned(), line);
                }
            }
        }
    }
}

/// Whether nothing more will happen to the task.
pub(crate) fn over(task: &Value) -> bool {
    matches!(
        task["status"].as_str(),
        Some("completed" | "partial" | "failed" | "cancelled")
    )
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:<14} {bar:30.green/dim} {pos:>3} %  {elapsed:>4}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
