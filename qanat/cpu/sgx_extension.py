"""
The Intel SGX extension of a PCK certificate, in DER.

It says which platform the certificate is of, and with which security versions. Source: Intel SGX
PCK Certificate and CRL Profile, section 1.3.5 (OID 1.2.840.113741.1.13.1).
"""

from shared.encoding.quantity import encode_quantity

SGX_EXTENSION_OID = "1.2.840.113741.1.13.1"

_INTEGER, _OCTETS, _OID, _ENUMERATED, _SEQUENCE = 0x02, 0x04, 0x06, 0x0A, 0x30
_SGX_TYPE_STANDARD = 0


def encode_sgx_extension(*, ppid: bytes, cpu_svn: bytes, pce_svn: int, fmspc: bytes) -> bytes:
    """
    Encode the extension's value.

    Parameters
    ----------
    ppid : `bytes`
        Name of the platform, 16 bytes.
    cpu_svn : `bytes`
        16 security version numbers, one byte each.
    pce_svn : `int`
        Security version of the certification enclave, under 128.
    fmspc : `bytes`
        Family of the platform, 6 bytes.
    """
    components = [
        _sequence(_oid(f"2.{index + 1}"), _der(_INTEGER, bytes([svn])))
        for index, svn in enumerate(cpu_svn)
    ]
    components.append(_sequence(_oid("2.17"), _der(_INTEGER, bytes([pce_svn]))))
    components.append(_sequence(_oid("2.18"), _der(_OCTETS, cpu_svn)))
    return _sequence(
        _sequence(_oid("1"), _der(_OCTETS, ppid)),
        _sequence(_oid("2"), _sequence(*components)),
        _sequence(_oid("3"), _der(_OCTETS, bytes(2))),
        _sequence(_oid("4"), _der(_OCTETS, fmspc)),
        _sequence(_oid("5"), _der(_ENUMERATED, bytes([_SGX_TYPE_STANDARD]))),
    )


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    octets = encode_quantity(length)
    return bytes([tag, 128 | len(octets)]) + octets + content


def _sequence(*items: bytes) -> bytes:
    return _der(_SEQUENCE, b"".join(items))


def _oid(below: str) -> bytes:
    first, second, *rest = (int(arc) for arc in f"{SGX_EXTENSION_OID}.{below}".split("."))
    content = bytes([40 * first + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(128 | arc & 0x7F)
        content += bytes(reversed(groups))
    return _der(_OID, content)
