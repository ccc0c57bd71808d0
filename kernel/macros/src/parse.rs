//! What both macros need of Rust's grammar.

use proc_macro::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};

/// A wrong use of a macro: what is wrong, and where.
pub struct Error {
    message: String,
    span: Span,
}

impl Error {
    /// `message`, to be shown at `span`.
    pub fn new(message: impl Into<String>, span: Span) -> Self {
        Error { message: message.into(), span }
    }

    /// A `compile_error!` that says so.
    pub fn into_tokens(self) -> TokenStream {
        let at = |mut token: TokenTree| {
            token.set_span(self.span);
            token
        };
        let message = TokenTree::Literal(proc_macro::Literal::string(&self.message));
        [
            at(TokenTree::Ident(Ident::new("compile_error", self.span))),
            at(TokenTree::Punct(Punct::new('!', Spacing::Alone))),
            at(TokenTree::Group(Group::new(Delimiter::Parenthesis, at(message).into()))),
            at(TokenTree::Punct(Punct::new(';', Spacing::Alone))),
        ]
        .into_iter()
        .collect()
    }
}

/// The identifier after the keyword `keyword` at the top level of `item`.
pub fn name_after(keyword: &str, item: &TokenStream) -> Option<Ident> {
    let mut tokens = item.clone().into_iter();
    tokens.find(|token| is_ident(token, keyword))?;
    match tokens.next() {
        Some(TokenTree::Ident(name)) => Some(name),
        _ => None,
    }
}

/// Whether `token` is the identifier or keyword `text`.
pub fn is_ident(token: &TokenTree, text: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident.to_string() == text)
}

/// Whether `token` is the punctuation `character`.
pub fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}
