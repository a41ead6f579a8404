//! Schemas made of others.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

/// One object with the fields of both.
pub(super) fn with_fields_of(
    text: &str,
    first: RefOr<Schema>,
    second: RefOr<Schema>,
) -> RefOr<Schema> {
    let (RefOr::T(Schema::Object(mut whole)), RefOr::T(Schema::Object(more))) = (first, second)
    else {
        debug_assert!(false, "both are objects");
        return RefOr::T(Schema::default());
    };
    whole.description = Some(text.to_owned());
    whole.properties.extend(more.properties);
    whole.required.extend(more.required);
    RefOr::T(Schema::Object(whole))
}

/// A schema with the fields of two others: `joined!(Name, "what it is", First, Second)`.
macro_rules! joined {
    ($name:ident, $text:expr, $first:ty, $second:ty) => {
        #[doc = $text]
        pub(crate) struct $name;

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $crate::openapi::shapes::with_fields_of(
                    $text,
                    <$first as utoipa::PartialSchema>::schema(),
                    <$second as utoipa::PartialSchema>::schema(),
                )
            }
        }

        impl utoipa::ToSchema for $name {
            fn schemas(
                schemas: &mut Vec<(
                    String,
                    utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>,
                )>,
            ) {
                <$first as utoipa::ToSchema>::schemas(schemas);
                <$second as utoipa::ToSchema>::schemas(schemas);
            }
        }
    };
}

pub(super) use joined;
