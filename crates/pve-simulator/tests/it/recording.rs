//! Reads recordings of a real host: request and response pairs with the secrets blanked.

use std::collections::BTreeMap;
use std::path::Path;

use crate::client::Answer;

/// One request and what the host answered.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    /// File name without extension and position in the file.
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) answer: Answer,
}

/// Every recording, by file name without extension.
pub(crate) fn load() -> BTreeMap<String, Vec<Exchange>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pve-client/tests/recorded");
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).expect("recordings") {
        let path = entry.expect("entry").path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let stem = path
            .file_stem()
            .expect("stem")
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(&path).expect("text");
        let exchanges = text
            .split(&"=".repeat(70))
            .filter_map(|part| part.split_once("<<< RESPONSE\n"))
            .enumerate()
            .map(|(at, (request, response))| parse(format!("{stem}#{at}"), request, response))
            .collect();
        found.insert(stem, exchanges);
    }
    found
}

fn parse(name: String, request: &str, response: &str) -> Exchange {
    let request = request.trim_start().trim_start_matches(">>> REQUEST\n");
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut answer_text = response.trim_end_matches('\n').to_owned();
    if !answer_text.contains("\n\n") {
        answer_text.push_str("\n\n");
    }
    let (answer_head, answer_body) = answer_text.split_once("\n\n").expect("a head");
    let crlf = format!("{}\r\n\r\n{answer_body}", answer_head.replace('\n', "\r\n"));
    Exchange {
        name,
        method: first.next().unwrap_or_default().to_owned(),
        target: first.next().unwrap_or_default().to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        body: body.trim_end_matches('\n').to_owned(),
        answer: Answer::parse(&crlf).expect("an answer"),
    }
}
