//! What the document says about itself, and the operations that serve it.

use super::operation::{Op, word};
use tpm_messages::{Lang, about};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{Info, InfoBuilder, LicenseBuilder};

/// What holds for all operations.
const MANNERS: &str = "\
**Work is done in the background.** A request that changes a guest is answered at once with a `task_id`; \
`GET /api/tasks/{task_id}` tells how far it is.

**Errors** all have one shape, `{\"error\": {\"code\", \"message\", \"details\"}}`. An unknown path answers 404 \
`NOT_FOUND`, an unknown method 405 `METHOD_NOT_ALLOWED`. Each operation lists the codes it may answer.

**Units**: memory is in MiB, disks are in GiB, durations say theirs in the name. Moments are RFC 3339 in UTC.

**Unknown fields and query parameters are refused**, with everything else that is wrong, at once. An empty query \
parameter is the same as none.";

pub(super) fn info() -> Info {
    InfoBuilder::new()
        .title("Terraform Proxmox Manager")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(format!(
            "{} {}\n\n{MANNERS}",
            about(Lang::En),
            about(Lang::Ko)
        )))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ))
        .build()
}

pub(super) fn operations() -> Vec<Op> {
    let text = || Schema::from(ObjectBuilder::new().schema_type(Type::String));
    let object = || Schema::from(ObjectBuilder::new());
    vec![
        Op::get("/api/openapi.json", "getOpenApi", "This document")
            .open()
            .answers_with(
                200,
                "An OpenAPI 3.1 document.",
                [("application/json", object())],
            ),
        Op::get(
            "/api/postman_collection.json",
            "getPostmanCollection",
            "This document as a Postman collection",
        )
        .open()
        .answers_with(
            200,
            "A Postman collection, version 2.1.",
            [("application/json", object())],
        ),
        Op::get("/api/docs", "getDocs", "This document as a page")
            .open()
            .answers_with(200, "A page for people.", [("text/html", text())]),
        Op::get(
            "/api/docs/{file}",
            "getDocsFile",
            "What the page is made of",
        )
        .open()
        .takes(word(
            "file",
            "The name of the file.",
            "^(start\\.js|swagger-ui\\.css|swagger-ui-bundle\\.js)$",
            "swagger-ui.css",
        ))
        .answers_with(
            200,
            "A style sheet or a script.",
            [("text/css", text()), ("text/javascript", text())],
        )
        .refuses(&["NOT_FOUND"]),
    ]
}
