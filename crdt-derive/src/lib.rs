//! A struct of lattices is a lattice, a struct of dot stores is a dot store, a struct of handles is a record: field by
//! field.
//!
//! Use these through `watersmeet-crdt` with its feature `derive`; the documentation of the traits has examples.
//!
//! What is deliberately not here: enums. Two replicas can be in different variants, and no rule says which they meet in;
//! a field for each variant has one.

mod record;

use proc_macro::TokenStream;
use proc_macro2::{Span, TokenStream as Tokens};
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Generics, Member, Type, WherePredicate, parse_quote};

/// Derives `watersmeet_crdt::Lattice` for a struct of lattices: it grows where one of its fields grows.
///
/// The struct derives or implements `Clone`, `Default` and `PartialEq` itself; the default is bottom, field by field.
/// A type parameter needs no bound of its own: each field's type has to be a lattice, and that is all.
#[proc_macro_derive(Lattice)]
pub fn lattice(input: TokenStream) -> TokenStream {
    expand(input, |input| Ok(lattice_of(Struct::of(input)?)))
}

/// Derives `watersmeet_crdt::store::DotStore` for a struct of dot stores: it is joined field by field.
///
/// The struct derives or implements `Clone`, `Default` and `PartialEq` itself. One event writes to one field.
#[proc_macro_derive(DotStore)]
pub fn dot_store(input: TokenStream) -> TokenStream {
    expand(input, |input| Ok(dot_store_of(Struct::of(input)?)))
}

/// Derives `watersmeet_crdt::typed::Record` for a struct of handles, and of other records: each field at a key.
///
/// The key is the field's name, or what `#[record(key = "…")]` on the field says. A struct has named fields, and no key
/// twice.
#[proc_macro_derive(Record, attributes(record))]
pub fn record(input: TokenStream) -> TokenStream {
    expand(input, record::record_of)
}

fn expand(input: TokenStream, derive: fn(DeriveInput) -> Result<Tokens, Error>) -> TokenStream {
    syn::parse(input).and_then(derive).unwrap_or_else(Error::into_compile_error).into()
}

/// What is to be known of a struct: its name and parameters, and each field's name and type.
struct Struct {
    name: syn::Ident,
    generics: Generics,
    members: Vec<Member>,
    types: Vec<Type>,
}

impl Struct {
    fn of(input: DeriveInput) -> Result<Self, Error> {
        let of_what = match input.data {
            Data::Struct(data) => Ok(data.fields),
            Data::Enum(data) => Err(("an enum", data.enum_token.span)),
            Data::Union(data) => Err(("a union", data.union_token.span)),
        };
        let fields = of_what.map_err(|(what, at): (&str, Span)| {
            Error::new(
                at,
                format!("{what} has no merge of its own: use a struct, with a field for each case"),
            )
        })?;
        let members = fields.members().collect();
        let types = match fields {
            Fields::Unit => Vec::new(),
            fields => fields.into_iter().map(|field| field.ty).collect(),
        };
        Ok(Struct { name: input.ident, generics: input.generics, members, types })
    }

    /// The implementation of a trait, with `body` in it, where each field's type has the trait.
    fn implements(self, of: &Tokens, body: &Tokens) -> Tokens {
        let Struct { name, mut generics, types, .. } = self;
        let bounds = types.iter().map(|field| -> WherePredicate { parse_quote!(#field: #of) });
        let own: WherePredicate = parse_quote! {
            Self: ::core::clone::Clone + ::core::default::Default + ::core::cmp::PartialEq
        };
        generics.make_where_clause().predicates.extend(bounds.chain([own]));
        let (parameters, arguments, bounds) = generics.split_for_impl();
        quote! {
            #[automatically_derived]
            impl #parameters #of for #name #arguments #bounds { #body }
        }
    }
}

fn lattice_of(of: Struct) -> Tokens {
    let members = &of.members;
    let lattice = quote!(::watersmeet_crdt::Lattice);
    let body = quote! {
        fn merge(&mut self, other: Self) -> bool {
            let _ = &other;
            false #(| #lattice::merge(&mut self.#members, other.#members))*
        }

        fn covers(&self, other: &Self) -> bool {
            let _ = other;
            true #(&& #lattice::covers(&self.#members, &other.#members))*
        }
    };
    of.implements(&lattice, &body)
}

fn dot_store_of(of: Struct) -> Tokens {
    let members = &of.members;
    let store = quote!(::watersmeet_crdt::store::DotStore);
    let context = quote!(::watersmeet_crdt::CausalContext);
    let body = quote! {
        fn is_bottom(&self) -> bool {
            true #(&& #store::is_bottom(&self.#members))*
        }

        fn for_each_dot(&self, visit: &mut dyn ::core::ops::FnMut(::watersmeet_crdt::Dot)) {
            let _ = &visit;
            #(#store::for_each_dot(&self.#members, visit);)*
        }

        fn join(&mut self, seen: &#context, other: Self, other_seen: &#context) -> bool {
            let _ = (seen, &other, other_seen);
            false #(| #store::join(&mut self.#members, seen, other.#members, other_seen))*
        }

        fn apply(&mut self, seen: &#context, delta: Self, delta_seen: &#context) -> bool {
            let _ = (seen, &delta, delta_seen);
            false #(| #store::apply(&mut self.#members, seen, delta.#members, delta_seen))*
        }
    };
    of.implements(&store, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_struct_is_told_what_to_be() {
        let told = |input| Struct::of(input).err().map(|error| error.to_string());
        let to_be = "has no merge of its own: use a struct, with a field for each case";
        assert_eq!(
            told(parse_quote!(
                enum Seen {
                    Nothing,
                }
            )),
            Some(format!("an enum {to_be}"))
        );
        assert_eq!(told(parse_quote!(union Seen { a: u8, b: i8 })), Some(format!("a union {to_be}")));
        assert_eq!(
            told(parse_quote!(
                struct Seen;
            )),
            None
        );
    }
}
