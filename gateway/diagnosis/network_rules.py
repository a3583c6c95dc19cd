"""What goes wrong on the way to an endpoint."""

from __future__ import annotations

from gateway.diagnosis.rules import Rule

NETWORK_RULES: tuple[Rule, ...] = (
    Rule(
        "ClientConnectorDNSError EndpointConnectionError gaierror",
        "name resolution|name or service|nodename|no address",
        "the name of the endpoint cannot be resolved: {endpoint}",
        "look at AWS_REGION, AWS_ENDPOINT_URL_BEDROCK_RUNTIME and the DNS of this host or its VPC",
    ),
    Rule(
        "ClientConnectorCertificateError SSLCertVerificationError",
        "",
        "the certificate of the endpoint is not trusted: {endpoint}",
        "where a proxy opens TLS, set AWS_CA_BUNDLE to a file with its CA; else the endpoint is not AWS's",
    ),
    Rule(
        "SSLError ClientConnectorSSLError ClientSSLError",
        "certificate verify",
        "the certificate of the endpoint is not trusted: {endpoint}",
        "where a proxy opens TLS, set AWS_CA_BUNDLE to a file with its CA; else the endpoint is not AWS's",
    ),
    Rule(
        "SSLError ClientConnectorSSLError ClientSSLError",
        "",
        "no TLS connection to the endpoint can be made: {endpoint}",
        "does its port speak TLS? Look at the endpoint URL (https or http), AWS_CA_BUNDLE and proxies",
    ),
    Rule(
        "ClientProxyConnectionError ClientHttpProxyError ProxyConnectionError",
        "",
        "the proxy does not let us through to the endpoint: {endpoint}",
        "look at HTTPS_PROXY, and put the endpoint into NO_PROXY where there is a way without it",
    ),
    Rule(
        "",
        "refused|connect call failed|ServerDisconnected|ConnectionClosed|reset by peer|ConnectionReset",
        "nothing answers at the endpoint: {endpoint}",
        "look at AWS_ENDPOINT_URL_BEDROCK_RUNTIME (is the port right?) and at security groups",
    ),
    Rule(
        "",
        "timeout|unreachable|no first byte|took longer|took too long|not answer in time|fell silent",
        "the endpoint does not answer in time: {endpoint}",
        "look at security groups, network ACLs, routes, NAT and the bedrock-runtime VPC endpoint",
    ),
)
