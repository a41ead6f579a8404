//! Words on the wire that stand for one of a few things, taken from where the code has them, so that the
//! document cannot know others.

/// A schema of some words: `words!(Name, "what it tells", the list, how one is written)`.
macro_rules! words {
    ($name:ident, $text:expr, $list:expr, $word:expr) => {
        #[doc = $text]
        pub(crate) struct $name;

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                let words: Vec<&'static str> = $list.into_iter().map($word).collect();
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some($text))
                    .enum_values(Some(words))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

pub(crate) use words;
