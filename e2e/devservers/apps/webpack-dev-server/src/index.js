import { text } from './print.js';

const heading = document.createElement('h1');
heading.textContent = text;
const button = document.createElement('button');
let count = 0;
button.textContent = `Count is ${count}`;
button.addEventListener('click', () => {
  count += 1;
  button.textContent = `Count is ${count}`;
});
document.body.append(heading, button);

if (module.hot) {
  module.hot.accept('./print.js', () => {
    heading.textContent = text;
  });
}
