"use client";

import { useActionState } from "react";
import { sign } from "./actions";

export default function GuestBook() {
  const [message, action] = useActionState(sign, "Nobody has signed yet.");

  return (
    <form action={action}>
      <p role="status">{message}</p>
      <label>
        Name <input name="name" autoComplete="off" />
      </label>
      <button>Sign</button>
    </form>
  );
}
