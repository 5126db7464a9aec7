//! The keywords of JSON Schema and what becomes of each.

/// What a keyword's value is, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyword {
    /// A schema, enforced.
    Schema,
    /// A list of schemas, enforced.
    List,
    /// A schema or a list of schemas, enforced.
    SchemaOrList,
    /// Schemas by name, enforced.
    Map,
    /// A reference into this schema.
    Reference,
    /// Any one JSON value, enforced.
    Constant,
    /// A list of JSON values, enforced.
    Constants,
    /// A number, or a boolean as draft 4 has it, enforced.
    Bound,
    /// A positive number, enforced.
    Multiple,
    /// A number of items or properties, enforced.
    Items,
    /// A number of characters, enforced.
    Length,
    /// A regular expression, enforced.
    Pattern,
    /// A type or a list of types, enforced.
    Types,
    /// The name of a format, enforced if JSON Schema knows it.
    Format,
    /// Names of properties, enforced.
    Names,
    /// Schemas that something refers to.
    Definitions,
    /// Says nothing about which texts validate, or only lets more of them validate.
    Annotation,
    /// Harmless if `false`, refused otherwise.
    UnlessFalse,
    /// Changes the meaning of references below it: refused below the root.
    Identity,
    /// Changes which texts validate and is not enforced.
    Refused,
}

/// Sorted by name.
const KEYWORDS: [(&str, Keyword); 68] = [
    ("$anchor", Keyword::Annotation),
    ("$comment", Keyword::Annotation),
    ("$defs", Keyword::Definitions),
    ("$dynamicAnchor", Keyword::Annotation),
    ("$dynamicRef", Keyword::Refused),
    ("$id", Keyword::Identity),
    ("$recursiveAnchor", Keyword::UnlessFalse),
    ("$recursiveRef", Keyword::Refused),
    ("$ref", Keyword::Reference),
    ("$schema", Keyword::Annotation),
    ("$vocabulary", Keyword::Annotation),
    ("additionalItems", Keyword::Schema),
    ("additionalProperties", Keyword::Schema),
    ("allOf", Keyword::List),
    ("anyOf", Keyword::List),
    ("const", Keyword::Constant),
    ("contains", Keyword::Refused),
    ("contentEncoding", Keyword::Annotation),
    ("contentMediaType", Keyword::Annotation),
    ("contentSchema", Keyword::Annotation),
    ("default", Keyword::Annotation),
    ("definitions", Keyword::Definitions),
    ("dependencies", Keyword::Refused),
    ("dependentRequired", Keyword::Refused),
    ("dependentSchemas", Keyword::Refused),
    ("deprecated", Keyword::Annotation),
    ("description", Keyword::Annotation),
    ("discriminator", Keyword::Annotation),
    ("else", Keyword::Refused),
    ("enum", Keyword::Constants),
    ("example", Keyword::Annotation),
    ("examples", Keyword::Annotation),
    ("exclusiveMaximum", Keyword::Bound),
    ("exclusiveMinimum", Keyword::Bound),
    ("externalDocs", Keyword::Annotation),
    ("format", Keyword::Format),
    ("id", Keyword::Identity),
    ("if", Keyword::Refused),
    ("items", Keyword::SchemaOrList),
    ("maxContains", Keyword::Refused),
    ("maxItems", Keyword::Items),
    ("maxLength", Keyword::Length),
    ("maxProperties", Keyword::Items),
    ("maximum", Keyword::Bound),
    ("minContains", Keyword::Refused),
    ("minItems", Keyword::Items),
    ("minLength", Keyword::Length),
    ("minProperties", Keyword::Items),
    ("minimum", Keyword::Bound),
    ("multipleOf", Keyword::Multiple),
    ("not", Keyword::Refused),
    ("nullable", Keyword::Annotation),
    ("oneOf", Keyword::List),
    ("pattern", Keyword::Pattern),
    ("patternProperties", Keyword::Map),
    ("prefixItems", Keyword::List),
    ("properties", Keyword::Map),
    ("propertyNames", Keyword::Refused),
    ("readOnly", Keyword::Annotation),
    ("required", Keyword::Names),
    ("then", Keyword::Refused),
    ("title", Keyword::Annotation),
    ("type", Keyword::Types),
    ("unevaluatedItems", Keyword::Refused),
    ("unevaluatedProperties", Keyword::Refused),
    ("uniqueItems", Keyword::UnlessFalse),
    ("writeOnly", Keyword::Annotation),
    ("xml", Keyword::Annotation),
];

/// What becomes of `name`; `None` if JSON Schema and OpenAPI do not know it.
pub(crate) fn keyword(name: &str) -> Option<Keyword> {
    if name.starts_with("x-") {
        return Some(Keyword::Annotation);
    }
    KEYWORDS
        .binary_search_by_key(&name, |(name, _)| name)
        .ok()
        .map(|at| KEYWORDS[at].1)
}

/// Whether llguidance sees it.
pub(crate) fn is_enforced(keyword: Keyword) -> bool {
    !matches!(
        keyword,
        Keyword::Annotation
            | Keyword::UnlessFalse
            | Keyword::Identity
            | Keyword::Refused
            | Keyword::Definitions
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_sorted_and_unique() {
        assert!(KEYWORDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
