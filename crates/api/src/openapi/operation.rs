//! One operation of the document: a method on a path, what it takes, and everything it may answer.
//!
//! What every operation has in common is added here, so that a row of a resource only says what is its
//! own: who may call it, the language header, and the errors of the transport.

use super::errors;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder};

/// The media type of nearly everything.
const JSON: &str = "application/json";
/// The extension that lists the error codes of an answer.
pub(super) const CODES: &str = "x-error-codes";

/// A schema with its name.
pub(super) type Named = (String, RefOr<Schema>);

/// An operation being described.
pub(super) struct Op {
    pub(super) path: &'static str,
    pub(super) method: HttpMethod,
    /// Schemas that are asked for and answered.
    pub(super) schemas: Vec<Named>,
    builder: OperationBuilder,
    answers: Vec<(u16, Response)>,
    errors: Vec<&'static str>,
    /// Answers with the status of an error that are no envelope.
    others: Vec<(u16, Ref, &'static str)>,
    open: bool,
}

fn add<T: ToSchema>(schemas: &mut Vec<Named>) -> Ref {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
    Ref::from_schema_name(T::name())
}

impl Op {
    fn new(method: HttpMethod, path: &'static str, id: &str, summary: &str) -> Self {
        let writes = !matches!(method, HttpMethod::Get);
        let mut errors = vec!["INTERNAL_ERROR", "TIMEOUT"];
        if writes {
            errors.extend([
                "FOREIGN_ORIGIN",
                "UNAVAILABLE",
                "STORAGE_FULL",
                "RESTORED_COPY",
            ]);
        }
        let builder = OperationBuilder::new()
            .operation_id(Some(id))
            .summary(Some(summary))
            .parameter_ref(Ref::new("#/components/parameters/AcceptLanguage"));
        Self {
            path,
            method,
            schemas: Vec::new(),
            builder,
            answers: Vec::new(),
            errors,
            others: Vec::new(),
            open: false,
        }
    }

    pub(super) fn get(path: &'static str, id: &str, summary: &str) -> Self {
        Self::new(HttpMethod::Get, path, id, summary)
    }

    pub(super) fn post(path: &'static str, id: &str, summary: &str) -> Self {
        Self::new(HttpMethod::Post, path, id, summary)
    }

    pub(super) fn put(path: &'static str, id: &str, summary: &str) -> Self {
        Self::new(HttpMethod::Put, path, id, summary)
    }

    pub(super) fn patch(path: &'static str, id: &str, summary: &str) -> Self {
        Self::new(HttpMethod::Patch, path, id, summary)
    }

    pub(super) fn delete(path: &'static str, id: &str, summary: &str) -> Self {
        Self::new(HttpMethod::Delete, path, id, summary)
    }

    /// What a reader has to know beyond the summary.
    pub(super) fn about(mut self, text: &str) -> Self {
        self.builder = self.builder.description(Some(text));
        self
    }

    /// The person has to be there: no key does it.
    pub(super) fn in_person(mut self) -> Self {
        self.builder = self
            .builder
            .security(SecurityRequirement::new("session", Vec::<String>::new()));
        self
    }

    /// Nobody has to be logged in.
    pub(super) fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// A parameter of the path or query.
    pub(super) fn takes(mut self, parameter: Parameter) -> Self {
        self.builder = self.builder.parameter(parameter);
        self
    }

    /// Parameters of the query, which may be wrong.
    pub(super) fn queries(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        for parameter in parameters {
            self = self.takes(parameter);
        }
        self.refuses(&["INVALID_REQUEST"])
    }

    fn body(mut self, content: Content, required: Required, text: &str) -> Self {
        let body = RequestBodyBuilder::new()
            .description(Some(text))
            .content(JSON, content)
            .required(Some(required));
        self.builder = self.builder.request_body(Some(body.build()));
        self.refuses(&[
            "INVALID_JSON",
            "INVALID_REQUEST",
            "PAYLOAD_TOO_LARGE",
            "UNSUPPORTED_MEDIA_TYPE",
        ])
    }

    /// A body that must be there.
    pub(super) fn asks<T: ToSchema>(mut self, example: Value) -> Self {
        let schema = add::<T>(&mut self.schemas);
        let content = ContentBuilder::new()
            .schema(Some(schema))
            .example(Some(example));
        self.body(content.build(), Required::True, "A JSON object.")
    }

    /// A body whose fields may all be missing, and so may it.
    pub(super) fn asks_maybe<T: ToSchema>(mut self, example: Value) -> Self {
        let schema = add::<T>(&mut self.schemas);
        let content = ContentBuilder::new()
            .schema(Some(schema))
            .example(Some(example));
        self.body(content.build(), Required::False, "A JSON object.")
    }

    /// A request that needs no body; an empty object may be sent.
    pub(super) fn asks_nothing(self) -> Self {
        let empty = ObjectBuilder::new()
            .description(Some("No fields."))
            .max_properties(Some(0));
        let content = ContentBuilder::new().schema(Some(empty.build()));
        self.body(
            content.build(),
            Required::False,
            "Nothing, or an empty JSON object.",
        )
    }

    /// The header that makes sending a request again harmless.
    pub(super) fn keyed(mut self) -> Self {
        self.builder = self
            .builder
            .parameter_ref(Ref::new("#/components/parameters/IdempotencyKey"));
        self.refuses(&["INVALID_IDEMPOTENCY_KEY", "IDEMPOTENCY_KEY_REUSED"])
    }

    fn answer(mut self, status: u16, response: ResponseBuilder) -> Self {
        let response =
            response.header_ref("X-Request-Id", Ref::new("#/components/headers/RequestId"));
        self.answers.push((status, response.build()));
        self
    }

    /// An answer as JSON.
    pub(super) fn answers<T: ToSchema>(mut self, status: u16, text: &str, example: Value) -> Self {
        let schema = add::<T>(&mut self.schemas);
        let content = ContentBuilder::new()
            .schema(Some(schema))
            .example(Some(example));
        let response = ResponseBuilder::new()
            .description(text)
            .content(JSON, content.build());
        self.answer(status, response)
    }

    /// An answer in other media types, each with its schema.
    pub(super) fn answers_with(
        self,
        status: u16,
        text: &str,
        contents: impl IntoIterator<Item = (&'static str, Schema)>,
    ) -> Self {
        let mut response = ResponseBuilder::new().description(text);
        for (media, schema) in contents {
            response = response.content(media, Content::new(Some(schema)));
        }
        self.answer(status, response)
    }

    /// An answer as text in these media types, with an example of each.
    pub(super) fn answers_text<const N: usize>(
        self,
        status: u16,
        text: &str,
        examples: [(&str, String); N],
    ) -> Self {
        let mut response = ResponseBuilder::new().description(text);
        for (media, example) in examples {
            let schema = Schema::from(ObjectBuilder::new().schema_type(Type::String));
            let content = ContentBuilder::new()
                .schema(Some(schema))
                .example(Some(example.into()));
            response = response.content(media, content.build());
        }
        self.answer(status, response)
    }

    /// The same answer in another media type as well.
    pub(super) fn also_as(mut self, status: u16, media: &str, schema: Schema) -> Self {
        let found = self.answers.iter_mut().find(|answer| answer.0 == status);
        debug_assert!(found.is_some(), "{status} is answered");
        if let Some((_, response)) = found {
            let content = Content::new(Some(schema));
            response.content.insert(media.to_owned(), content.into());
        }
        self
    }

    /// Error codes it may answer; their statuses are known by the codes.
    pub(super) fn refuses(mut self, codes: &[&'static str]) -> Self {
        self.errors.extend(codes);
        self
    }

    /// An answer that is no envelope, beside the errors of that status.
    pub(super) fn or_with<T: ToSchema>(mut self, status: u16, text: &'static str) -> Self {
        let schema = add::<T>(&mut self.schemas);
        self.others.push((status, schema, text));
        self
    }

    /// The finished operation under a tag.
    pub(super) fn finish(mut self, tag: &str) -> (Vec<Named>, OperationBuilder) {
        if self.open {
            // An empty list takes back what the whole document asks for.
            self.builder = self
                .builder
                .securities(Some(std::iter::empty::<SecurityRequirement>()));
        } else {
            self.errors.extend([
                "UNAUTHENTICATED",
                "TWO_CREDENTIALS",
                "RATE_LIMITED",
                "FORBIDDEN",
                "SECOND_FACTOR_MISSING",
                "UNAVAILABLE",
            ]);
        }
        for (status, response) in self.answers {
            self.builder = self.builder.response(status.to_string(), response);
        }
        for (status, known) in errors::by_status(&self.errors) {
            let other = self.others.iter().find(|other| other.0 == status);
            self.builder = self
                .builder
                .response(status.to_string(), refusal(status, &known, other));
        }
        (self.schemas, self.builder.tag(tag))
    }
}

/// An answer with an error: the envelope, which codes it may have, and one of them as an example.
fn refusal(
    status: u16,
    known: &[errors::Known],
    other: Option<&(u16, Ref, &'static str)>,
) -> Response {
    let mut lines: Vec<String> = known
        .iter()
        .map(|one| format!("`{}`: {}", one.code, one.meaning))
        .collect();
    let envelope = Ref::from_schema_name("ErrorAnswer");
    let schema: RefOr<Schema> = match other {
        None => envelope.into(),
        Some((_, other, text)) => {
            lines.push((*text).to_owned());
            OneOfBuilder::new()
                .item(envelope)
                .item(other.clone())
                .into()
        }
    };
    let codes: Vec<&str> = known.iter().map(|one| one.code).collect();
    let content = ContentBuilder::new()
        .schema(Some(schema))
        .examples_from_iter(known.iter().map(|one| {
            let place = format!("#/components/examples/{}", one.code);
            (one.code, RefOr::Ref(Ref::new(place)))
        }));
    let mut response = ResponseBuilder::new()
        .description(lines.join("\n\n"))
        .content(JSON, content.build())
        .header_ref("X-Request-Id", Ref::new("#/components/headers/RequestId"))
        .extensions(Some(Extensions::from_iter([(
            CODES,
            serde_json::json!(codes),
        )])));
    if matches!(status, 429 | 503 | 507) {
        response = response.header_ref("Retry-After", Ref::new("#/components/headers/RetryAfter"));
    }
    response.build()
}

fn parameter(
    place: ParameterIn,
    name: &str,
    text: &str,
    schema: impl Into<Schema>,
    example: Value,
) -> Parameter {
    let required = if place == ParameterIn::Path {
        Required::True
    } else {
        Required::False
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(text))
        .schema(Some(RefOr::T(schema.into())))
        .example(Some(example))
        .build()
}

/// A number in the path that names a thing.
pub(super) fn id(name: &str, text: &str, example: u64) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(i64::MAX));
    parameter(
        ParameterIn::Path,
        name,
        text,
        schema.build(),
        example.into(),
    )
}

/// A text in the path of this form.
pub(super) fn word(name: &str, text: &str, pattern: &str, example: &str) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern));
    parameter(
        ParameterIn::Path,
        name,
        text,
        schema.build(),
        example.into(),
    )
}

/// A server in the path.
pub(super) fn server_id() -> Parameter {
    id(
        "server_id",
        "The server's number. It is never given again.",
        1,
    )
}

/// A task in the path.
pub(super) fn task_id() -> Parameter {
    word(
        "task_id",
        "The task's name, as it was answered when the task was made.",
        TASK_ID,
        "task_0af7651916cd43dd8448",
    )
}

/// The form of a task's name.
pub(super) const TASK_ID: &str = "^task_[0-9a-z_]{1,59}$";

/// A text in the query.
pub(super) fn query_text(name: &str, text: &str, example: &str) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    parameter(
        ParameterIn::Query,
        name,
        text,
        schema.build(),
        example.into(),
    )
}

/// A whole number in the query, within bounds, both included.
pub(super) fn query_number(
    name: &str,
    text: &str,
    (min, max): (i64, i64),
    default: Option<i64>,
    example: i64,
) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(min))
        .maximum(Some(max))
        .default(default.map(Value::from));
    parameter(
        ParameterIn::Query,
        name,
        text,
        schema.build(),
        example.into(),
    )
}

/// One of some words in the query; an empty one is none.
pub(super) fn query_word<'w>(
    name: &str,
    text: &str,
    words: impl IntoIterator<Item = &'w str>,
    default: Option<&str>,
) -> Parameter {
    let mut words: Vec<&str> = words.into_iter().collect();
    let example = words.first().copied().unwrap_or_default().into();
    words.push("");
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .default(default.map(Value::from));
    parameter(ParameterIn::Query, name, text, schema.build(), example)
}

/// `limit` and `offset`.
pub(super) fn paging(of: &str) -> [Parameter; 2] {
    [
        query_number(
            "limit",
            &format!("Most {of} in the answer."),
            (1, 500),
            Some(50),
            50,
        ),
        query_number(
            "offset",
            &format!("How many {of} are left out before the first one of the answer."),
            (0, i64::MAX),
            Some(0),
            0,
        ),
    ]
}
