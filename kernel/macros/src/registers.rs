//! `#[derive(Registers)]`: `map`, `SIZE` and `ALIGN` of a struct out of those of its fields, and checks of their layout.

use crate::parse::{Error, is_ident, is_punct, name_after};
use proc_macro::{Delimiter, Ident, Span, TokenStream, TokenTree};

/// One field: `#[at(offset)] name: kind`, both as they were written.
struct Field {
    name: Ident,
    offset: TokenStream,
    kind: TokenStream,
}

pub fn expand(item: TokenStream) -> Result<TokenStream, Error> {
    let name = name_after("struct", &item)
        .ok_or_else(|| Error::new("#[derive(Registers)] is for structs", Span::call_site()))?;
    let body = item
        .into_iter()
        .find_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.stream()),
            _ => None,
        })
        .ok_or_else(|| Error::new("a struct of registers has named fields and no parameters", name.span()))?;
    let fields = fields(body)?;
    if fields.is_empty() {
        return Err(Error::new("a struct of registers has at least one field", name.span()));
    }
    implementation(&name, &fields)
        .parse()
        .map_err(|error| Error::new(format!("cannot derive Registers: {error}"), name.span()))
}

const REGISTERS: &str = "::machine::io::registers::Registers";

fn implementation(name: &Ident, fields: &[Field]) -> String {
    let mut map = String::new();
    let mut checks = String::new();
    let (mut end, mut align) = ("0usize".to_string(), "1usize".to_string());
    for Field { name, offset, kind } in fields {
        map += &format!("{name}: <{kind} as {REGISTERS}>::map_at(window, offset + ({offset}))?,\n");
        checks += &format!(
            "assert!(({offset}) >= {end}, \"field `{name}` overlaps the one before it\");\n\
             assert!((({offset}) as usize).is_multiple_of(<{kind} as {REGISTERS}>::ALIGN), \"field `{name}` is not aligned\");\n"
        );
        end = format!("({offset}) + <{kind} as {REGISTERS}>::SIZE");
        align = format!("::machine::io::registers::larger({align}, <{kind} as {REGISTERS}>::ALIGN)");
    }
    format!(
        "impl {REGISTERS} for {name} {{\n\
            const SIZE: usize = {end};\n\
            const ALIGN: usize = {align};\n\
            fn map_at(window: ::machine::io::mmio::Window, offset: usize)\n\
                -> ::core::result::Result<Self, ::machine::io::registers::OutOfWindow>\n\
            {{\n\
                const {{ {checks} }};\n\
                ::core::result::Result::Ok({name} {{ {map} }})\n\
            }}\n\
        }}"
    )
}

fn fields(body: TokenStream) -> Result<Vec<Field>, Error> {
    let mut fields = Vec::new();
    let mut tokens = body.into_iter().peekable();
    while tokens.peek().is_some() {
        let mut offset = None;
        // Attributes and visibility come before the name, which a colon follows.
        let name = loop {
            match tokens.next() {
                Some(token) if is_punct(&token, '#') => {
                    if let Some(TokenTree::Group(attribute)) = tokens.next() {
                        offset = offset_in(attribute.stream()).or(offset);
                    }
                }
                Some(token) if is_ident(&token, "pub") => {
                    tokens.next_if(|token| matches!(token, TokenTree::Group(_)));
                }
                Some(TokenTree::Ident(name)) => break name,
                Some(other) => return Err(Error::new("a register's name is expected here", other.span())),
                None => return Ok(fields),
            }
        };
        tokens.next_if(|token| is_punct(token, ':'));
        let offset = offset.ok_or_else(|| Error::new(format!("register `{name}` needs #[at(offset)]"), name.span()))?;
        fields.push(Field { name, offset, kind: kind(&mut tokens) });
    }
    Ok(fields)
}

/// What is inside the parentheses of an `at(…)`.
fn offset_in(attribute: TokenStream) -> Option<TokenStream> {
    let mut tokens = attribute.into_iter();
    tokens.next().filter(|token| is_ident(token, "at"))?;
    match tokens.next() {
        Some(TokenTree::Group(group)) => Some(group.stream()),
        _ => None,
    }
}

/// A field's type: all up to the comma that is not between angle brackets, which is taken too.
fn kind(tokens: &mut impl Iterator<Item = TokenTree>) -> TokenStream {
    let mut depth = 0usize;
    let mut kind = Vec::new();
    for token in tokens {
        if is_punct(&token, ',') && depth == 0 {
            break;
        }
        if is_punct(&token, '<') {
            depth += 1;
        } else if is_punct(&token, '>') {
            depth = depth.saturating_sub(1);
        }
        kind.push(token);
    }
    kind.into_iter().collect()
}
