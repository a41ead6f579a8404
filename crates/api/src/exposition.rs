//! Metrics over the wire: which form was asked for, and the answer in it.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tpm_app::MetricsForm;

/// The media type of OpenMetrics, and that of Prometheus' own text.
const OPEN: &str = "application/openmetrics-text";
const TEXT: &str = "text/plain";

/// How much a media type is wanted, when `Accept` names it.
fn wanted(headers: &HeaderMap, media: &str) -> Option<f32> {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            if !parts.next()?.eq_ignore_ascii_case(media) {
                return None;
            }
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            Some(quality.map_or(1.0, |text| text.parse().unwrap_or(0.0)))
        })
        .reduce(f32::max)
}

/// The form that is asked for: OpenMetrics only when `Accept` names it, and not less wanted than plain text.
#[must_use]
pub fn metrics_form(headers: &HeaderMap) -> MetricsForm {
    let open = wanted(headers, OPEN).unwrap_or(0.0);
    let text = wanted(headers, TEXT).unwrap_or(0.0);
    if open > 0.0 && open >= text {
        MetricsForm::OpenMetrics
    } else {
        MetricsForm::Text
    }
}

/// The answer in a form.
#[must_use]
pub fn metrics_answer(form: MetricsForm, text: String) -> Response {
    let media = match form {
        MetricsForm::Text => "text/plain; version=0.0.4; charset=utf-8",
        MetricsForm::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
    };
    let media = HeaderValue::from_static(media);
    ([(header::CONTENT_TYPE, media)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_accept_wants_most() {
        let form = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a header"));
            metrics_form(&headers)
        };
        assert_eq!(metrics_form(&HeaderMap::new()), MetricsForm::Text);
        for open in [
            "application/openmetrics-text",
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "text/plain;q=0.2, Application/OpenMetrics-Text; q=0.3",
        ] {
            assert_eq!(form(open), MetricsForm::OpenMetrics, "{open}");
        }
        for text in [
            "*/*",
            "text/plain",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.1, text/plain",
            "application/openmetrics-text;q=x",
            "application/json",
        ] {
            assert_eq!(form(text), MetricsForm::Text, "{text}");
        }
    }
}
