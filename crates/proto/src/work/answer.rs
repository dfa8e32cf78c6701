//! Permits, and what came of them.

use segue_model::work::{Acceptance, Answer, PermitReply};

use crate::{
    Invalid,
    invalid::{duration, inner, need, parsed, wait},
    v1,
    v1::{answer_request, permit_response},
};

impl From<PermitReply> for v1::PermitResponse {
    fn from(reply: PermitReply) -> Self {
        let reply = match reply {
            PermitReply::Granted(permit) => permit_response::Reply::PermitId(permit.to_string()),
            PermitReply::Later(wait) => permit_response::Reply::Later(duration(wait)),
            PermitReply::Stop => permit_response::Reply::Stop(v1::Stop {}),
        };
        Self { reply: Some(reply) }
    }
}

impl TryFrom<v1::PermitResponse> for PermitReply {
    type Error = Invalid;

    fn try_from(v1::PermitResponse { reply }: v1::PermitResponse) -> Result<Self, Invalid> {
        Ok(match need("reply", reply)? {
            permit_response::Reply::PermitId(id) => Self::Granted(parsed("permit_id", &id)?),
            permit_response::Reply::Later(later) => Self::Later(wait("later", later)?),
            permit_response::Reply::Stop(v1::Stop {}) => Self::Stop,
        })
    }
}

impl From<&Answer> for answer_request::Answer {
    fn from(answer: &Answer) -> Self {
        match answer {
            Answer::Accepted(acceptance) => Self::Accepted(acceptance.into()),
            Answer::Fine => Self::Fine(v1::Fine {}),
            Answer::Throttled { retry_after } => {
                Self::Throttled(v1::Throttled { retry_after: retry_after.map(duration) })
            }
            Answer::NotApplied { status } => {
                Self::NotApplied(v1::NotApplied { status: (*status).into() })
            }
            Answer::Ambiguous => Self::Ambiguous(v1::Ambiguous {}),
            Answer::NotSent => Self::NotSent(v1::NotSent {}),
        }
    }
}

impl TryFrom<answer_request::Answer> for Answer {
    type Error = Invalid;

    fn try_from(answer: answer_request::Answer) -> Result<Self, Invalid> {
        Ok(match answer {
            answer_request::Answer::Accepted(acceptance) => {
                Self::Accepted(inner("accepted", Some(acceptance))?)
            }
            answer_request::Answer::Fine(v1::Fine {}) => Self::Fine,
            answer_request::Answer::Throttled(v1::Throttled { retry_after }) => {
                let asked = retry_after.map(|asked| wait("throttled.retry_after", asked));
                Self::Throttled { retry_after: asked.transpose()? }
            }
            answer_request::Answer::NotApplied(v1::NotApplied { status }) => {
                let no_status = |_| Invalid::new("not_applied.status", "is no status of HTTP");
                Self::NotApplied { status: u16::try_from(status).map_err(no_status)? }
            }
            answer_request::Answer::Ambiguous(v1::Ambiguous {}) => Self::Ambiguous,
            answer_request::Answer::NotSent(v1::NotSent {}) => Self::NotSent,
        })
    }
}

impl From<&Acceptance> for v1::Acceptance {
    fn from(Acceptance { klaviyo_job, sent, bytes, refused }: &Acceptance) -> Self {
        Self {
            klaviyo_job: klaviyo_job.clone(),
            sent: *sent,
            bytes: *bytes,
            refused: Some(refused.into()),
        }
    }
}

impl TryFrom<v1::Acceptance> for Acceptance {
    type Error = Invalid;

    fn try_from(acceptance: v1::Acceptance) -> Result<Self, Invalid> {
        let v1::Acceptance { klaviyo_job, sent, bytes, refused } = acceptance;
        Ok(Self { klaviyo_job, sent, bytes, refused: inner("refused", refused)? })
    }
}
