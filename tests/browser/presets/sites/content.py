"""What the sites have in common: page, script, style, picture, file."""

import base64

USER, PASSWORD = "clerk", "correct horse"
ITEMS = ["kettle", "teapot"]
FILE = bytes(range(256)) * 64

STYLE = "h1 { color: rgb(1, 2, 3); }\n"
SCRIPT = """
const token = () => document.querySelector("meta[name=csrf]")?.content ?? document.cookie.match(/csrftoken=([^;]+)/)[1];

fetch("/api/items").then((response) => response.json()).then(({items}) => {
  document.getElementById("items").textContent = items.join(", ");
});

document.getElementById("note").addEventListener("click", async () => {
  const response = await fetch("/api/note", {method: "POST", headers: {"X-CSRFToken": token()}, body: "a note"});
  document.getElementById("noted").textContent = response.status;
});
"""  # noqa: E501
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ASSETS = {
    "shop.css": ("text/css", STYLE.encode()),
    "shop.js": ("text/javascript", SCRIPT.encode()),
    "mark.png": ("image/png", PICTURE),
}

HEAD = (
    "<!doctype html><html lang=en><head><meta charset=utf-8><title>Shop</title><link rel=icon"
    " href=/assets/mark.png>"
)


def home(token: str = "") -> str:
    """The home page; a token in the page is for scripts, where no cookie carries it."""
    meta = f'<meta name=csrf content="{token}">' if token else ""
    return (
        f"{HEAD}{meta}<link rel=stylesheet href=/assets/shop.css></head><body><h1>Shop</h1><img"
        " id=mark alt=mark src=/assets/mark.png><p id=items></p><button id=note>Note</button><p"
        " id=noted></p><p><a id=file href=/file>Stock</a></p><script"
        " src=/assets/shop.js></script></body></html>\n"
    )


def login(hidden: str) -> str:
    """The login page; `hidden` is the field with the token."""
    return (
        f"{HEAD}</head><body><form method=post action=/login>{hidden}<input name=username><input"
        " name=password type=password><button>Log in</button></form></body></html>\n"
    )


def account(name: str) -> str:
    """What only who is logged in sees."""
    return f"{HEAD}</head><body><h1>Hello {name}</h1></body></html>\n"


def inline() -> str:
    """A page with a script inside, as an injected one would be."""
    return (
        f'{HEAD}</head><body><p id=said></p><script>document.getElementById("said").textContent ='
        ' "it ran"</script></body></html>\n'
    )
