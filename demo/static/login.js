// The login: sends the form, and shows the page or why there is none.

const form = document.getElementById("login");
const problem = form.querySelector(".problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  const response = await fetch("login", { method: "POST", body: new FormData(form) }).catch(() => null);
  if (response?.ok) return location.reload();
  problem.textContent = response ? "The username or the password is wrong." : "The server does not answer. Try again.";
  form.password.select();
});
