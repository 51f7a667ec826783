"""
Signs a request with a node's key, so that `curl` can ask what is for nodes:

    python -m qanat.sign_request --as compute-1 --to compute-0 URL '{"limit": 1}' | curl -s -K -

Prints what `curl` reads as its configuration.
"""

import json
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import typer

from qanat.layout import DataLayout
from shared.crypto.signing import Signer
from shared.kit.identity import load_node_key
from shared.kit.signed_requests import read_input, sign_request, verify_answer


class NodeKeyAuth(httpx.Auth):
    """
    Signs the requests of an httpx client with a node key, and verifies who answers.

    Raises
    ------
    WrongServer
        The answer is not signed by the server that is meant; errors are not signed.
    """

    requires_request_body = True
    requires_response_body = True

    def __init__(self, signer: Signer, server_key: bytes) -> None:
        """`server_key` is the node key of the server, 32 bytes."""
        self._signer, self._server_key = signer, server_key

    def auth_flow(self, request: httpx.Request):  # type: ignore[no-untyped-def] # noqa: ANN201
        """Sign, and verify."""
        signed = _headers(self._signer, self._server_key, str(request.url), request.content)
        request.headers.update(signed)
        nonce = read_input({"signature-input": signed["Signature-Input"]}).parameters["nonce"]
        response = yield request
        if response.status_code == 200:
            verify_answer(
                response.headers, 200, response.content, server_key=self._server_key, nonce=nonce
            )


def _headers(signer: Signer, server_key: bytes, url: str, body: bytes) -> dict[str, str]:
    parts = urlsplit(url)
    return sign_request(signer, server_key, path=parts.path, query=parts.query, body=body)


def main(
    url: str,
    body: Annotated[str, typer.Argument(help="Parameters, in JSON.")] = "{}",
    *,
    who: Annotated[str, typer.Option("--as", help="Node whose key signs.")],
    to: Annotated[str, typer.Option(help="Node that is asked.")],
    data: Annotated[Path, typer.Option(help="The network's data directory.")] = Path(
        ".qanat/default"
    ),
) -> None:
    """Print a configuration for `curl` that asks a node in the name of another one."""
    layout = DataLayout(data)
    signer, server = load_node_key(layout.host(who)), load_node_key(layout.host(to))
    if signer is None or server is None:
        raise typer.BadParameter(f"{data} has no node {who if signer is None else to}")
    address = url if "://" in url else f"http://{url}"
    lines = {"url": address, "data": body}
    headers = _headers(signer, server.public_key, address, body.encode())
    print("\n".join(f"{name} = {json.dumps(value)}" for name, value in lines.items()))
    for name, value in headers.items():
        print(f"header = {json.dumps(f'{name}: {value}')}")


if __name__ == "__main__":
    typer.run(main)
