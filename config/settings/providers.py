"""The outside world: base URLs, keys and plans. On a demo desk all of it is the local sandbox."""

from config.env import env

_sandbox = env.sandbox_url


def _provider(own_url: str, sandbox_path: str, real_url: str, key: str, plan: str) -> dict[str, str]:
    url = own_url or (f"{_sandbox}/{sandbox_path}" if _sandbox else real_url)
    inside = bool(_sandbox) and url.startswith(_sandbox)
    return {
        "base_url": url,
        "api_key": key,
        "plan": plan or ("sandbox" if inside else "free" if key else "keyless"),
    }


PROVIDERS = {
    "jupiter": _provider(
        env.jupiter_url,
        "jupiter",
        "https://api.jup.ag",
        env.jupiter_api_key.get_secret_value(),
        env.jupiter_plan,
    ),
    "dexscreener": _provider(env.dexscreener_url, "dexscreener", "https://api.dexscreener.com", "", ""),
    "pyth": _provider(
        env.pyth_url,
        "pyth",
        "https://hermes.pyth.network",
        env.pyth_api_key.get_secret_value(),
        "",
    ),
}
SANDBOX_URL = _sandbox
