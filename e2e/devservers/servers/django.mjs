// Django's runserver with a project as `startproject` makes it: forms are checked for their Origin
// and Referer, hosts for their name. Its database is made at each start.

import assert from 'node:assert/strict';
import { activated, installed } from '../lib/python.mjs';

const USER = 'ada';
const PASSWORD = 'correct horse battery staple';

/** What somebody types in a fresh folder; `$1` is what follows `runserver`. */
const START = `
set -e
django-admin startproject mysite .
python manage.py migrate --verbosity 0
python manage.py createsuperuser --noinput
exec python manage.py runserver $1`;

export default {
  slug: 'django',
  name: 'Django',
  port: 8000,
  binds: 'loopback',
  flag: 'runserver 0.0.0.0:8000',
  version: () => installed('django', 'django'),
  command: ({ flagged }) => ({
    argv: ['bash', '-c', START, 'start', ...(flagged ? ['0.0.0.0:8000'] : [])],
    env: {
      ...activated('django'),
      DJANGO_SUPERUSER_USERNAME: USER,
      DJANGO_SUPERUSER_PASSWORD: PASSWORD,
      DJANGO_SUPERUSER_EMAIL: `${USER}@example.org`,
    },
  }),

  // Its first page and its admin have no icon.
  noise: [/status of 404 .*\/favicon\.ico\)/],

  async open({ page, visit }) {
    await visit();
    await page.getByRole('heading', { name: 'The install worked successfully' }).waitFor();
  },

  async check(kit) {
    const { page, origin, running, visit, edit, eventually } = kit;
    await this.open(kit);

    await visit('/admin/'); // redirects to the login
    assert.equal(page.url(), `${origin}/admin/login/?next=/admin/`);
    await page.getByLabel('Username').fill(USER);
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: 'Site administration' }).waitFor();
    assert.equal(page.url(), `${origin}/admin/`);

    await page.getByRole('link', { name: 'Users' }).click();
    await page.getByRole('link', { name: USER, exact: true }).click();
    await page.getByLabel('First name').fill('Augusta');
    await page.getByRole('button', { name: 'Save and continue editing' }).click();
    await page.getByText('was changed successfully').waitFor();
    await page.reload();
    assert.equal(await page.getByLabel('First name').inputValue(), 'Augusta');

    edit('mysite/urls.py', 'urlpatterns = [',
      'from django.http import HttpResponse\n\nurlpatterns = [\n'
      + "    path('new/', lambda _: HttpResponse('a new view')),");
    await eventually('the server to start again', () =>
      running.output().split('Watching for file changes').length === 3 && running.binds() !== 'nothing');
    await visit('/new/');
    assert.equal(await page.locator('body').innerText(), 'a new view');
    return ['its first page', 'a login by a CSRF-checked form', 'a change made in the admin', 'reloads after an edit'];
  },
};
