//! The messages of the server API: what an application's backend asks of the server, and what it is told.
//!
//! `proto/server_api.proto` is the one definition. Generated from it and checked in are the messages here, in protobuf for
//! gRPC and in JSON for HTTP, and `openapi.json`; a test says when they are out of date. Nothing here knows how the
//! messages travel, or what the methods do.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod json;

pub use generated::*;

/// The proto file.
pub const PROTO: &str = include_str!("../proto/server_api.proto");

/// The JSON API in the words of OpenAPI 3.1.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// As its definition names it, the service of gRPC; and as clients of the Centrifugo API do.
pub const SERVICES: [&str; 2] = ["tidings.api.ServerApi", "centrifugal.centrifugo.api.CentrifugoApi"];

#[allow(missing_docs, clippy::all, clippy::pedantic)]
mod generated {
    include!("generated.rs");
}

/// What a method is asked.
pub trait Request: prost::Message + Default + serde::Serialize + serde::de::DeserializeOwned {
    /// The method.
    const METHOD: Method;
    /// What it answers when it was done.
    type Result: prost::Message + Default + serde::Serialize + serde::de::DeserializeOwned;
    /// That, or why it was not done.
    type Response: Response<Result = Self::Result>;
}

/// What came of a call.
pub trait Response: prost::Message + Default + serde::Serialize + serde::de::DeserializeOwned {
    /// What a method answers when it was done.
    type Result;

    /// From either.
    fn of(result: Result<Self::Result, Error>) -> Self;

    /// One of both; `None` when there is neither.
    fn into_result(self) -> Option<Result<Self::Result, Error>>;
}

macro_rules! messages_of {
    ($($method:ident $path:literal $variant:ident $request:ident $response:ident $result:ident;)*) => {
        /// A method that a batch can call, which are all but `batch` itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Method {
            $(#[doc = concat!("`", stringify!($method), "`")] $variant,)*
        }

        impl Method {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As HTTP and batches name it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($method),)*
                }
            }

            /// As gRPC names it.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self {
                    $(Self::$variant => $path,)*
                }
            }
        }

        $(
            impl Request for $request {
                const METHOD: Method = Method::$variant;
                type Result = $result;
                type Response = $response;
            }

            impl Response for $response {
                type Result = $result;

                fn of(result: Result<$result, Error>) -> Self {
                    match result {
                        Ok(result) => Self { result: Some(result), error: None },
                        Err(error) => Self { result: None, error: Some(error) },
                    }
                }

                fn into_result(self) -> Option<Result<$result, Error>> {
                    match self {
                        Self { error: Some(error), .. } => Some(Err(error)),
                        Self { result, .. } => result.map(Ok),
                    }
                }
            }
        )*
    };
}
each_method!(messages_of);

impl Method {
    /// The method of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|method| method.name() == name)
    }

    /// The method of this path.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|method| method.path() == path)
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Error {}
