//! Answers of stores are taken up to a limit, whatever they hold: [`Sized`].

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::Limited;

use crate::world::limit::Limit;

/// What is taken of an answer. A list of a thousand objects has about 1 MiB. The time is that of one attempt.
pub(super) const ANSWER: Limit = Limit::new(16 << 20, 30);

#[derive(Debug)]
pub(super) struct Sized;

impl Intercept for Sized {
    fn name(&self) -> &'static str {
        "sized"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        let whole = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Limited::new(whole, ANSWER.size()));
        Ok(())
    }
}
