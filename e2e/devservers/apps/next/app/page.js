import Counter from "./counter";
import GuestBook from "./guest-book";

export default function Home() {
  return (
    <main>
      <h1>To get started, edit the page.js file.</h1>
      <Counter />
      <GuestBook />
    </main>
  );
}
