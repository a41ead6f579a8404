//! Rows of the route table that can be read: axum's own method routers do not tell which methods they
//! have, and the OpenAPI document is held against exactly these.

use crate::router::ApiState;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{self, MethodRouter};

/// The methods of one path, with their handlers.
pub(crate) struct Methods {
    names: Vec<Method>,
    router: MethodRouter<ApiState>,
}

impl Methods {
    fn one(name: Method, router: MethodRouter<ApiState>) -> Self {
        Self {
            names: vec![name],
            router,
        }
    }

    fn and(mut self, name: Method, router: MethodRouter<ApiState>) -> Self {
        self.names.push(name);
        self.router = self.router.merge(router);
        self
    }

    /// The methods, as written down.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the document is held against it in a test")
    )]
    pub(crate) fn names(&self) -> &[Method] {
        &self.names
    }

    /// For axum; other methods are answered by `other`.
    pub(crate) fn into_router<H, T>(self, other: H) -> MethodRouter<ApiState>
    where
        H: Handler<T, ApiState>,
        T: 'static,
    {
        self.router.fallback(other)
    }
}

/// A row begins with one of these, and goes on with the methods below.
macro_rules! begins {
    ($($name:ident $method:ident),*) => {$(
        #[doc = concat!("A path with `", stringify!($method), "`.")]
        pub(crate) fn $name<H, T>(handler: H) -> Methods
        where
            H: Handler<T, ApiState>,
            T: 'static,
        {
            Methods::one(Method::$method, routing::$name(handler))
        }
    )*};
}

macro_rules! goes_on {
    ($($name:ident $method:ident),*) => {
        impl Methods {$(
            #[doc = concat!("`", stringify!($method), "` as well.")]
            pub(crate) fn $name<H, T>(self, handler: H) -> Self
            where
                H: Handler<T, ApiState>,
                T: 'static,
            {
                self.and(Method::$method, routing::$name(handler))
            }
        )*}
    };
}

// Only those that the table uses: the compiler tells of others.
begins!(get GET, post POST, put PUT, patch PATCH, delete DELETE);
goes_on!(post POST, patch PATCH, delete DELETE);
