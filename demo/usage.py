"""Examples of calling the page from code. ADDRESS is replaced by its URL; USER and PASSWORD are those of --auth."""

PYTHON = """\
from gradio_client import Client, handle_file

reading = Client("ADDRESS").predict(handle_file("number.png"), api_name="/read")
print(reading["text"], reading["parity"], reading["confidence"])"""

CURL = """\
path=$(curl -s -c visitor.txt -F files=@number.png ADDRESS/gradio_api/upload | tr -d '[]"')
curl -s -b visitor.txt ADDRESS/gradio_api/run/read -H 'Content-Type: application/json' \\
  -d '{"data": [{"path": "'"$path"'"}]}'"""

PYTHON_WITH_LOGIN = PYTHON.replace('Client("ADDRESS")', 'Client("ADDRESS", auth=("USER", "PASSWORD"))')

CURL_WITH_LOGIN = (
    "curl -s -o login.json -c visitor.txt -F username=USER -F password=PASSWORD ADDRESS/login\n"
    + CURL.replace("-c visitor.txt", "-b visitor.txt -c visitor.txt")
)

TEMPLATE = """\
<div class="usage">
  <p>Both examples send <code>number.png</code>. The response contains the number, the number as this page
  marks it (with <code>?</code> for what is probably no digit), its parity and the confidence; for each glyph its box
  (left, top, right, bottom), its row, its digit and ten probabilities; for each mark its box, its symbol and its
  row; and the boxes of ink that is left out. Several rows are separated by spaces.</p>
  <h2>Python</h2>
  <pre tabindex="0"><code>${python.replaceAll("ADDRESS", location.href.split(/[/]*([?#]|$)/)[0])}</code></pre>
  <h2>Shell</h2>
  <pre tabindex="0"><code>${curl.replaceAll("ADDRESS", location.href.split(/[/]*([?#]|$)/)[0])}</code></pre>
  <p>The cookie in <code>visitor.txt</code> identifies you. Only the visitor who uploaded a picture can use it.</p>
  <p><code>GET /healthz</code> returns 200 while the page is running.</p>
</div>
"""
