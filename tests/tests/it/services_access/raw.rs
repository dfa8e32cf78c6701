//! Calls any method, with bytes in place of messages.

use bytes::{Buf, BufMut, Bytes};
use segue_tests::harness::Services;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    transport::Channel,
};

pub(super) struct Raw {
    control_plane: Channel,
    status: Channel,
    runtime: tokio::runtime::Runtime,
}

impl Raw {
    pub(super) fn of(services: &Services) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let connect = |address| {
            let channel = Channel::from_shared(format!("http://{address}")).unwrap();
            runtime.block_on(channel.connect()).unwrap()
        };
        let (control_plane, status) =
            (connect(services.control_plane()), connect(services.status()));
        Self { control_plane, status, runtime }
    }

    /// What comes of an empty request to `Service/Method`.
    pub(super) fn call(&self, method: &str, token: Option<&str>) -> Code {
        let of_status = method.starts_with("StatusService/");
        let channel = if of_status { &self.status } else { &self.control_plane };
        let mut client = Grpc::new(channel.clone());
        let mut request = Request::new(Bytes::new());
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        let path: PathAndQuery = format!("/segue.v1.{method}").parse().unwrap();
        self.runtime.block_on(async {
            client.ready().await.unwrap();
            // A call with one answer looks like a stream of one.
            match client.server_streaming(request, path, Plain).await {
                Ok(answers) => match answers.into_inner().message().await {
                    Ok(_) => Code::Ok,
                    Err(status) => status.code(),
                },
                Err(status) => status.code(),
            }
        })
    }
}

#[derive(Clone, Copy, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}
