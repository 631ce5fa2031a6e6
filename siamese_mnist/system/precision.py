"""Which float type a processor trains faster with."""

import torch

_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


def computes_in_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether a training of this precision computes in bfloat16.

    Args:
        precision: "float32", "bfloat16", or "fastest": bfloat16 where the processor has instructions for it. Without
            them PyTorch computes it several times more slowly than float32.
        device: where it computes.
    """
    if precision != "fastest":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and _processor_has_bfloat16()


def _processor_has_bfloat16() -> bool:
    if hasattr(torch.cpu, "get_capabilities"):
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in _INSTRUCTIONS)
    # Earlier versions of PyTorch say so only within.
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in asked)
